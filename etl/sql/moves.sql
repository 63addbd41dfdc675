-- What a comparison found, in numbers. Grain: one row. Reads only the temporary table.
SELECT
    count(*) FILTER (WHERE kind = 'entered'),
    count(*) FILTER (WHERE kind = 'changed'),
    count(*) FILTER (WHERE kind = 'renamed'),
    count(*) FILTER (WHERE kind = 'left'),
    count(*) FILTER (WHERE kind = 'returned'),
    coalesce(sum(images_delta), 0),
    coalesce(sum(num_jobs_delta), 0)
FROM pg_temp.delta
