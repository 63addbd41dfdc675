-- Say what would be dropped; goes on from any of the statements that find it. Grain: one row. Writes nothing.
SELECT
    count(*),
    coalesce(sum(doomed.bytes), 0)
FROM doomed
