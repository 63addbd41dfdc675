-- Keys and indexes of the tables with many rows, and the keys that refer to these: how to take them away, and how
-- to build them again. An index that belongs to a key comes and goes with it; checks stay. Grain: one of them.
CREATE TABLE definition AS
WITH filled AS (
    SELECT name::regclass::oid AS oid
    FROM unnest(ARRAY[
        'ledger.batch', 'ledger.job', 'ledger.batch_change', 'ledger.job_change', 'ledger.observation',
        'ledger.project_day'
    ]) AS filled (name)
),
found AS (
    SELECT
        CASE WHEN contype = 'f' THEN 'references' ELSE 'keys' END AS step,
        conname AS name,
        format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname) AS away,
        format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
            AS again
    FROM pg_constraint
    WHERE contype IN ('p', 'u', 'f')
        AND (conrelid IN (SELECT oid FROM filled) OR confrelid IN (SELECT oid FROM filled))
    UNION ALL
    SELECT
        'indexes',
        relname,
        format('DROP INDEX %%s', indexrelid::regclass),
        pg_get_indexdef(indexrelid)
    FROM pg_index
    INNER JOIN pg_class
        ON pg_class.oid = pg_index.indexrelid
    WHERE indrelid IN (SELECT oid FROM filled)
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))
)
SELECT
    -- A key can be referred to only once it is there.
    row_number() OVER (ORDER BY step = 'references', step = 'indexes', name) AS position,
    found.*
FROM found;
