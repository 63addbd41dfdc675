-- What the ledger is drawn from, in a schema of its own until it is written. Grain: the plan of one batch, one time at
-- which changes are seen, one stretch of readings of a kind of day, the totals of one project so far.

-- Readings are taken every hour, a few seconds later from each project to the next.
CREATE FUNCTION read_at(slot integer, project_id integer)
RETURNS timestamptz
LANGUAGE sql
STABLE
RETURN %(start)s::timestamptz + make_interval(secs => slot * 3600 + project_id %% 100 * 20);

CREATE FUNCTION draw(project_id integer, number integer, topic integer, below integer)
RETURNS integer
LANGUAGE sql
IMMUTABLE
RETURN ((hashint8extended(project_id * 100000::bigint + number, %(seed)s * 100 + topic) >> 20 & 1073741823) %% below)::integer;

-- People work twice a day, on five days a week, and nobody looks during the outage.
CREATE TABLE step AS
SELECT
    row_number() OVER (ORDER BY day.day, hour.hour)::integer - 1 AS step,
    day.day,
    day.day * 24 + hour.hour AS slot
FROM generate_series(0, %(days)s) AS day (day)
CROSS JOIN (VALUES (10), (16)) AS hour (hour)
WHERE extract(ISODOW FROM %(start)s::timestamptz + make_interval(days => day.day)) < 6
    AND day.day NOT BETWEEN %(outage_from)s AND %(outage_to)s
    AND day.day * 24 + hour.hour < %(slots)s;

-- A batch enters and grows; then each of its jobs takes a share, is annotated in parts, and approved; some are
-- never touched, some stall, some leave at the end. Of some pairs one gives images to the other when it is full.
CREATE TABLE plan AS
WITH drawn AS (
    SELECT
        project_id,
        number,
        10 + draw(project_id, number, 1, 50) AS part,
        draw(project_id, number / 2, 2, (SELECT count(*) FROM step)::integer) AS step_from,
        1 + draw(project_id, number / 2, 3, %(strides)s) AS stride,
        draw(project_id, number, 4, 100) AS fate,
        draw(project_id, number / 2, 5, 25) = 0 AS is_moved
    FROM generate_series(1, %(projects)s) AS project (project_id)
    CROSS JOIN generate_series(0, %(batches)s - 1) AS batch (number)
),
sized AS (
    SELECT
        drawn.project_id,
        drawn.number,
        drawn.part,
        drawn.step_from,
        drawn.stride,
        CASE
            WHEN drawn.is_moved AND drawn.number %% 2 = 0 THEN drawn.part * (%(growths)s - 1)
            WHEN drawn.is_moved
                THEN drawn.part * %(growths)s + 10 + draw(drawn.project_id, drawn.number - 1, 1, 50)
            ELSE drawn.part * (%(growths)s + 1)
        END AS total,
        CASE
            WHEN drawn.fate < 8 THEN %(growths)s
            WHEN drawn.fate < 13 THEN %(growths)s + 1 + %(jobs)s / 2 * (%(parts)s + 2) + 1
            WHEN drawn.fate < 40 THEN %(growths)s + 1 + %(jobs)s * (%(parts)s + 2)
            ELSE %(growths)s + %(jobs)s * (%(parts)s + 2)
        END AS life
    FROM drawn
)
SELECT
    sized.project_id,
    sized.number,
    substr(md5(format('batch %%s of %%s', sized.number, sized.project_id)), 1, 20) COLLATE "C" AS batch_id,
    format('Uploaded on %%s, part %%s', read_at(step.slot, sized.project_id)::date, sized.number)
        AS name,
    read_at(step.slot, sized.project_id) - INTERVAL '40 minutes' AS uploaded_at,
    sized.part,
    sized.total,
    sized.step_from,
    sized.stride,
    least(sized.life, ((SELECT count(*) FROM step)::integer - 1 - sized.step_from) / sized.stride) AS last_age
FROM sized
INNER JOIN step
    ON step.step = sized.step_from;

-- What the readings of a day come to: those that are alike and old are folded into the last of them.
CREATE TABLE pattern AS
WITH hour_of_day AS (
    SELECT
        is_old,
        is_early,
        is_late,
        has_failed,
        is_after,
        hour,
        CASE
            WHEN has_failed AND hour BETWEEN 12 AND 14 THEN 'failed'
            WHEN has_failed AND hour = 15 OR is_after AND hour = 0 THEN 'gap'
            WHEN is_early AND hour = 10 OR is_late AND hour = 16 THEN 'changed'
            ELSE 'quiet'
        END AS kind
    FROM (VALUES (FALSE), (TRUE)) AS a (is_old)
    CROSS JOIN (VALUES (FALSE), (TRUE)) AS b (is_early)
    CROSS JOIN (VALUES (FALSE), (TRUE)) AS c (is_late)
    CROSS JOIN (VALUES (FALSE), (TRUE)) AS d (has_failed)
    CROSS JOIN (VALUES (FALSE), (TRUE)) AS e (is_after)
    CROSS JOIN generate_series(0, 23) AS hour (hour)
),
begun AS (
    SELECT
        hour_of_day.*,
        NOT is_old OR kind IN ('gap', 'changed') OR kind IS DISTINCT FROM lag(kind) OVER day AS is_first
    FROM hour_of_day
    WINDOW day AS (PARTITION BY is_old, is_early, is_late, has_failed, is_after ORDER BY hour)
),
numbered AS (
    SELECT
        begun.*,
        count(*) FILTER (WHERE is_first) OVER (
            PARTITION BY is_old, is_early, is_late, has_failed, is_after
            ORDER BY hour
        ) AS span
    FROM begun
)
SELECT
    is_old,
    is_early,
    is_late,
    has_failed,
    is_after,
    kind,
    min(hour) AS hour_from,
    max(hour) AS hour_to,
    CASE WHEN has_failed AND min(hour) BETWEEN 12 AND 15 THEN 11 ELSE min(hour) - 1 END AS hour_before
FROM numbered
GROUP BY is_old, is_early, is_late, has_failed, is_after, kind, span;

CREATE TABLE total AS
SELECT
    project_id,
    0 AS batches,
    0::bigint AS images,
    0::bigint AS num_jobs,
    0 AS jobs,
    0::bigint AS job_images,
    0::bigint AS annotated,
    0::bigint AS approved,
    0::bigint AS rejected
FROM generate_series(1, %(projects)s) AS project (project_id);

-- What the runs found, told by those who write; summed up at the end.
CREATE TABLE counted (
    slot integer NOT NULL,
    changed integer NOT NULL,
    failed integer NOT NULL,
    batch_changes integer NOT NULL
);

ANALYZE step, plan, pattern, total;
