CREATE VIEW analytics.invariant_violation AS
WITH
-- What the batches, the history and the days each say of a project's totals.
batches AS (
    SELECT
        batch.project_id,
        count(*) FILTER (WHERE batch.gone_at IS NULL) AS batches,
        sum(batch.images) AS images,
        sum(coalesce(batch.num_jobs, 0)) AS num_jobs
    FROM ledger.batch
    GROUP BY batch.project_id
),
changes AS (
    SELECT
        batch_change.project_id,
        count(*) FILTER (WHERE batch_change.kind IN ('entered', 'returned'))
            - count(*) FILTER (WHERE batch_change.kind = 'left') AS batches,
        sum(batch_change.images_delta) AS images,
        sum(batch_change.num_jobs_delta) AS num_jobs
    FROM ledger.batch_change
    GROUP BY batch_change.project_id
),
days AS (
    SELECT
        project_day.project_id,
        sum(project_day.batches_entered - project_day.batches_left) AS batches,
        sum(project_day.images_delta) AS images,
        sum(project_day.num_jobs_delta) AS num_jobs
    FROM ledger.project_day
    GROUP BY project_day.project_id
),
last_days AS (
    SELECT DISTINCT ON (project_day.project_id)
        project_day.project_id,
        project_day.batches,
        project_day.images,
        project_day.num_jobs
    FROM ledger.project_day
    ORDER BY
        project_day.project_id,
        project_day.day DESC
),
last_observations AS (
    SELECT DISTINCT ON (observation.project_id)
        observation.project_id,
        observation.batches,
        observation.images,
        observation.num_jobs
    FROM ledger.observation
    WHERE observation.batches IS NOT NULL
    ORDER BY
        observation.project_id,
        observation.observation_id DESC
),
claimed_totals AS (
    SELECT
        'batches_balance' AS invariant,
        project.project_id,
        coalesce(batches.batches, 0) AS batches,
        coalesce(batches.images, 0) AS images,
        coalesce(batches.num_jobs, 0) AS num_jobs
    FROM ledger.project
    LEFT JOIN batches
        ON batches.project_id = project.project_id
    UNION ALL
    SELECT
        'changes_balance' AS invariant,
        project.project_id,
        coalesce(changes.batches, 0) AS batches,
        coalesce(changes.images, 0) AS images,
        coalesce(changes.num_jobs, 0) AS num_jobs
    FROM ledger.project
    LEFT JOIN changes
        ON changes.project_id = project.project_id
    UNION ALL
    SELECT
        'days_balance' AS invariant,
        project.project_id,
        coalesce(days.batches, 0) AS batches,
        coalesce(days.images, 0) AS images,
        coalesce(days.num_jobs, 0) AS num_jobs
    FROM ledger.project
    LEFT JOIN days
        ON days.project_id = project.project_id
    UNION ALL
    SELECT
        'last_day_balances' AS invariant,
        project.project_id,
        coalesce(last_days.batches, 0) AS batches,
        coalesce(last_days.images, 0) AS images,
        coalesce(last_days.num_jobs, 0) AS num_jobs
    FROM ledger.project
    LEFT JOIN last_days
        ON last_days.project_id = project.project_id
    UNION ALL
    SELECT
        'last_observation_balances' AS invariant,
        project.project_id,
        coalesce(last_observations.batches, 0) AS batches,
        coalesce(last_observations.images, 0) AS images,
        coalesce(last_observations.num_jobs, 0) AS num_jobs
    FROM ledger.project
    LEFT JOIN last_observations
        ON last_observations.project_id = project.project_id
),
-- Each change beside the one before it.
chained AS (
    SELECT
        batch_change.project_id,
        batch_change.batch_id,
        batch_change.observation_id,
        batch_change.kind,
        batch_change.name,
        batch_change.images,
        batch_change.num_jobs,
        batch_change.uploaded_at,
        batch_change.images_delta,
        batch_change.num_jobs_delta,
        batch_change.observed_at,
        batch_change.changed_after,
        lag(batch_change.kind) OVER batch AS kind_before,
        coalesce(lag(batch_change.images) OVER batch, 0) AS images_before,
        coalesce(lag(batch_change.num_jobs) OVER batch, 0) AS num_jobs_before,
        lag(batch_change.observed_at) OVER batch AS observed_before,
        lead(batch_change.kind) OVER batch IS NULL AS is_last
    FROM ledger.batch_change
    WINDOW batch AS (
        PARTITION BY batch_change.project_id, batch_change.batch_id
        ORDER BY batch_change.observation_id
    )
),
violation AS (
    SELECT
        claimed_totals.invariant,
        project.project_id,
        format(
            'project row says %s batches, %s images, %s jobs; these say %s, %s, %s',
            project.batches, project.images, project.num_jobs,
            claimed_totals.batches, claimed_totals.images, claimed_totals.num_jobs
        ) AS detail
    FROM claimed_totals
    INNER JOIN ledger.project
        ON project.project_id = claimed_totals.project_id
    WHERE (claimed_totals.batches, claimed_totals.images, claimed_totals.num_jobs)
        IS DISTINCT FROM (project.batches::bigint, project.images::numeric, project.num_jobs::numeric)
    UNION ALL
    SELECT
        'current_row_is_last_change',
        batch.project_id,
        format('batch %s differs from its last change', batch.batch_id)
    FROM ledger.batch
    LEFT JOIN chained
        ON chained.project_id = batch.project_id
        AND chained.batch_id = batch.batch_id
        AND chained.is_last
    WHERE chained.batch_id IS NULL
        OR (batch.name, batch.images, batch.num_jobs, batch.uploaded_at, batch.changed_at, batch.gone_at IS NOT NULL)
        IS DISTINCT FROM
        (chained.name, chained.images, chained.num_jobs, chained.uploaded_at, chained.observed_at, chained.kind = 'left')
    UNION ALL
    SELECT
        'change_has_its_batch',
        chained.project_id,
        format('batch %s has changes and no row', chained.batch_id)
    FROM chained
    LEFT JOIN ledger.batch
        ON batch.project_id = chained.project_id
        AND batch.batch_id = chained.batch_id
    WHERE chained.is_last
        AND batch.batch_id IS NULL
    UNION ALL
    SELECT
        'change_follows_from_the_one_before',
        chained.project_id,
        format('batch %s, observation %s (%s)', chained.batch_id, chained.observation_id, chained.kind)
    FROM chained
    WHERE chained.images_delta <> chained.images - chained.images_before
        OR chained.num_jobs_delta <> coalesce(chained.num_jobs, 0) - chained.num_jobs_before
        OR chained.observed_at <= chained.observed_before
        OR chained.changed_after < chained.observed_before
        OR (chained.kind = 'entered') <> (chained.kind_before IS NULL)
        OR (chained.kind = 'returned') <> coalesce(chained.kind_before = 'left', FALSE)
    UNION ALL
    SELECT
        'change_belongs_to_an_observation',
        chained.project_id,
        format('batch %s, observation %s (%s)', chained.batch_id, chained.observation_id, chained.kind)
    FROM chained
    LEFT JOIN ledger.observation
        ON observation.observation_id = chained.observation_id
        AND observation.project_id = chained.project_id
        AND observation.observed_at = chained.observed_at
    WHERE coalesce(observation.verdict NOT IN ('changed', 'suspect'), TRUE)
        OR (chained.kind = 'left' AND observation.verdict <> 'changed')
    UNION ALL
    SELECT
        'observation_counts_its_changes',
        observation.project_id,
        format('observation %s', observation.observation_id)
    FROM ledger.observation
    LEFT JOIN (
        SELECT
            chained.observation_id,
            count(*) AS changes,
            sum(chained.images_delta) AS images_delta,
            sum(chained.num_jobs_delta) AS num_jobs_delta
        FROM chained
        GROUP BY chained.observation_id
    ) AS counted
        ON counted.observation_id = observation.observation_id
    WHERE observation.batches_entered + observation.batches_changed + observation.batches_renamed
        + observation.batches_left + observation.batches_returned <> coalesce(counted.changes, 0)
        OR observation.images_delta <> coalesce(counted.images_delta, 0)
        OR observation.num_jobs_delta <> coalesce(counted.num_jobs_delta, 0)
        OR (observation.verdict = 'changed') < (counted.changes > 0 AND observation.verdict <> 'suspect')
        OR (observation.verdict = 'changed' AND counted.changes IS NULL)
    UNION ALL
    SELECT
        'observations_are_in_order',
        ordered.project_id,
        format('observation %s', ordered.observation_id)
    FROM (
        SELECT
            observation.project_id,
            observation.observation_id,
            observation.observed_at,
            lag(observation.observed_at) OVER (
                PARTITION BY observation.project_id
                ORDER BY observation.observation_id
            ) AS observed_before
        FROM ledger.observation
        WHERE observation.verdict IN ('changed', 'unchanged', 'suspect')
    ) AS ordered
    WHERE ordered.observed_at <= ordered.observed_before
    UNION ALL
    SELECT
        'payload_is_kept',
        observation.project_id,
        format('observation %s', observation.observation_id)
    FROM ledger.observation
    LEFT JOIN ledger.payload
        ON payload.digest = observation.digest
    WHERE observation.digest IS NOT NULL
        AND payload.digest IS NULL
)
SELECT
    violation.invariant,
    project.workspace,
    project.project,
    violation.detail
FROM violation
INNER JOIN ledger.project
    ON project.project_id = violation.project_id;

COMMENT ON VIEW analytics.invariant_violation IS 'One broken promise of the books. Must be empty.';
COMMENT ON COLUMN analytics.invariant_violation.invariant IS 'Name of the invariant.';
COMMENT ON COLUMN analytics.invariant_violation.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.invariant_violation.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.invariant_violation.detail IS 'The rows that break it.';
