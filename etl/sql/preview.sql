-- Say in numbers what an observation would change; goes on from `delta`. Grain: one row. Writes nothing.
SELECT
    moved.entered,
    moved.changed,
    moved.renamed,
    moved.departed,
    moved.returned,
    moved.images_delta,
    moved.num_jobs_delta
FROM moved
