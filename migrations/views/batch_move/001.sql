CREATE VIEW analytics.batch_move AS
SELECT
    project.workspace,
    project.project,
    observation.observation_id,
    observation.observed_at,
    move.changed_after,
    move.from_batch_id,
    move.from_name,
    move.to_batch_id,
    move.to_name,
    move.images,
    move.kind,
    move.likelihood
FROM ledger.observation
INNER JOIN ledger.project
    ON project.project_id = observation.project_id
CROSS JOIN LATERAL (
    WITH
    -- The observation, and the suspect ones since the last trusted one, which were judged anew with it.
    seen AS (
        SELECT
            together.observation_id,
            -- The first reading of the jobs was compared with nothing.
            together.jobs_previous_at IS NOT NULL AS is_compared
        FROM ledger.observation AS together
        WHERE together.project_id = observation.project_id
            AND together.observed_at > observation.previous_at
            AND together.observed_at <= observation.observed_at
            AND together.intake IS NOT NULL
    ),
    -- Each change is found by the key of its batch, or job: there are far fewer of these than changes.
    shift AS (
        SELECT
            batch.batch_id,
            batch.name,
            bool_or(batch_change.kind = 'entered') AS is_new,
            bool_or(batch_change.kind = 'returned') AS is_restored,
            bool_or(batch_change.kind = 'left') AS is_gone,
            sum(batch_change.images_delta) AS images_delta,
            sum(batch_change.num_jobs_delta) AS num_jobs_delta,
            min(batch_change.changed_after) AS changed_after
        FROM seen
        CROSS JOIN ledger.batch
        INNER JOIN ledger.batch_change
            ON batch_change.project_id = batch.project_id
            AND batch_change.batch_id = batch.batch_id
            AND batch_change.observation_id = seen.observation_id
        WHERE batch.project_id = observation.project_id
        GROUP BY
            batch.batch_id,
            batch.name
        HAVING sum(batch_change.images_delta) <> 0
    ),
    job_shift AS (
        SELECT
            job_change.batch_id,
            sum(greatest(job_change.images_delta, 0)) AS rise,
            sum(greatest(-job_change.images_delta, 0)) AS fall,
            count(*) FILTER (WHERE job_change.kind IN ('entered', 'returned'))
                - count(*) FILTER (WHERE job_change.kind = 'left') AS jobs_delta
        FROM seen
        CROSS JOIN ledger.job
        INNER JOIN ledger.job_change
            ON job_change.project_id = job.project_id
            AND job_change.job_id = job.job_id
            AND job_change.observation_id = seen.observation_id
        WHERE job.project_id = observation.project_id
            AND seen.is_compared
        GROUP BY job_change.batch_id
    ),
    change AS (
        SELECT
            shift.batch_id,
            shift.name,
            shift.is_new,
            shift.is_restored,
            shift.is_gone,
            shift.images_delta,
            shift.num_jobs_delta,
            shift.changed_after,
            coalesce(job_shift.rise, 0) AS rise,
            coalesce(job_shift.fall, 0) AS fall,
            shift.num_jobs_delta IS DISTINCT FROM job_shift.jobs_delta AS is_unlike
        FROM shift
        LEFT JOIN job_shift
            ON job_shift.batch_id = shift.batch_id
    ),
    -- What left a batch for no job, and what came into one from none.
    source AS (
        SELECT
            change.batch_id,
            change.name,
            change.is_gone,
            change.changed_after,
            (-change.images_delta - least(-change.images_delta, change.rise))::integer AS images
        FROM change
        WHERE change.images_delta < 0
            AND NOT (change.num_jobs_delta > 0 AND change.is_unlike)
    ),
    target AS (
        SELECT
            change.batch_id,
            change.name,
            change.is_new,
            change.changed_after,
            (change.images_delta - least(change.images_delta, change.fall))::integer AS images
        FROM change
        WHERE change.images_delta > 0
            AND NOT change.is_restored
            AND NOT (change.num_jobs_delta < 0 AND change.is_unlike)
    ),
    -- Equal numbers are one another's likeliest counterparts.
    numbered_source AS (
        SELECT
            source.batch_id,
            source.images,
            row_number() OVER (PARTITION BY source.images ORDER BY source.batch_id) AS place,
            count(*) OVER (PARTITION BY source.images) AS alike
        FROM source
        WHERE source.images > 0
    ),
    numbered_target AS (
        SELECT
            target.batch_id,
            target.images,
            row_number() OVER (PARTITION BY target.images ORDER BY target.batch_id) AS place,
            count(*) OVER (PARTITION BY target.images) AS alike
        FROM target
        WHERE target.images > 0
    ),
    equal AS (
        SELECT
            numbered_source.batch_id AS from_batch_id,
            numbered_target.batch_id AS to_batch_id,
            numbered_source.images,
            numbered_source.alike = 1 AND numbered_target.alike = 1 AS is_unique
        FROM numbered_source
        INNER JOIN numbered_target
            ON numbered_target.images = numbered_source.images
            AND numbered_target.place = numbered_source.place
    ),
    -- The others are laid side by side, the largest first.
    rest_source AS (
        SELECT
            source.batch_id,
            source.images,
            sum(source.images) OVER (ORDER BY source.images DESC, source.batch_id) AS upto
        FROM source
        WHERE source.images > 0
            AND NOT EXISTS (SELECT FROM equal WHERE equal.from_batch_id = source.batch_id)
    ),
    rest_target AS (
        SELECT
            target.batch_id,
            target.images,
            sum(target.images) OVER (ORDER BY target.images DESC, target.batch_id) AS upto
        FROM target
        WHERE target.images > 0
            AND NOT EXISTS (SELECT FROM equal WHERE equal.to_batch_id = target.batch_id)
    ),
    -- One batch on one side, and the other side adds up to it: there is no other way.
    is_whole AS (
        SELECT
            (count(DISTINCT rest_source.batch_id) = 1 OR count(DISTINCT rest_target.batch_id) = 1)
                AND max(rest_source.upto) = max(rest_target.upto) AS is_true
        FROM rest_source
        CROSS JOIN rest_target
    ),
    pair AS (
        SELECT
            equal.from_batch_id,
            equal.to_batch_id,
            equal.images,
            equal.is_unique AS is_likely
        FROM equal
        UNION ALL
        SELECT
            rest_source.batch_id,
            rest_target.batch_id,
            (
                least(rest_source.upto, rest_target.upto)
                - greatest(rest_source.upto - rest_source.images, rest_target.upto - rest_target.images)
            )::integer,
            is_whole.is_true
        FROM rest_source
        INNER JOIN rest_target
            ON rest_target.upto > rest_source.upto - rest_source.images
            AND rest_source.upto > rest_target.upto - rest_target.images
        CROSS JOIN is_whole
    )
    SELECT
        pair.from_batch_id,
        source.name AS from_name,
        pair.to_batch_id,
        target.name AS to_name,
        pair.images,
        least(source.changed_after, target.changed_after) AS changed_after,
        CASE
            WHEN source.is_gone AND NOT target.is_new THEN 'merged into'
            WHEN target.is_new AND NOT source.is_gone THEN 'split from'
            ELSE 'moved'
        END AS kind,
        CASE WHEN pair.is_likely THEN 'likely' ELSE 'possible' END AS likelihood
    FROM pair
    INNER JOIN source
        ON source.batch_id = pair.from_batch_id
    INNER JOIN target
        ON target.batch_id = pair.to_batch_id
) AS move
WHERE observation.moved <> 0
    -- Of those that were judged together, the last one tells.
    AND NOT EXISTS (
        SELECT
        FROM ledger.observation AS later
        WHERE later.project_id = observation.project_id
            AND later.observed_at > observation.observed_at
            AND later.previous_at = observation.previous_at
            AND later.moved <> 0
    );

COMMENT ON VIEW analytics.batch_move IS 'One likely move of images from one batch to another: as many as left the one, for no job, entered the other in the same observation, or in one with the suspect ones right before it. The source does not tell of moves, so none of them is certain.';
COMMENT ON COLUMN analytics.batch_move.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.batch_move.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.batch_move.observation_id IS 'The observation that saw it.';
COMMENT ON COLUMN analytics.batch_move.observed_at IS 'When it was seen.';
COMMENT ON COLUMN analytics.batch_move.changed_after IS 'Last observation of the state before: the move fell in (changed_after, observed_at].';
COMMENT ON COLUMN analytics.batch_move.from_batch_id IS 'The batch that the images left.';
COMMENT ON COLUMN analytics.batch_move.from_name IS 'Its name; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_move.to_batch_id IS 'The batch that the images entered.';
COMMENT ON COLUMN analytics.batch_move.to_name IS 'Its name; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_move.images IS 'How many images.';
COMMENT ON COLUMN analytics.batch_move.kind IS 'merged into (the first batch is gone since), split from (the second one is new), moved (both or neither).';
COMMENT ON COLUMN analytics.batch_move.likelihood IS 'likely: the numbers are equal and no other batches match them, or all of what left or entered one batch adds up; possible: other pairs would do as well.';
