CREATE OR REPLACE VIEW analytics.invariant_violation AS
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
-- What the changes say of each day, beside what the day itself says.
changes_of_days AS (
    SELECT
        batch_change.project_id,
        (batch_change.observed_at AT TIME ZONE 'UTC')::date AS day,
        count(*) FILTER (WHERE batch_change.kind IN ('entered', 'returned')) AS entered,
        count(*) FILTER (WHERE batch_change.kind = 'left') AS departed,
        sum(batch_change.images_delta) AS images_delta,
        sum(batch_change.num_jobs_delta) AS num_jobs_delta
    FROM ledger.batch_change
    GROUP BY
        batch_change.project_id,
        (batch_change.observed_at AT TIME ZONE 'UTC')::date
),
totals_of_days AS (
    SELECT
        changes_of_days.project_id,
        changes_of_days.day,
        changes_of_days.entered,
        changes_of_days.departed,
        changes_of_days.images_delta,
        changes_of_days.num_jobs_delta,
        sum(changes_of_days.entered - changes_of_days.departed) OVER project AS batches,
        sum(changes_of_days.images_delta) OVER project AS images,
        sum(changes_of_days.num_jobs_delta) OVER project AS num_jobs
    FROM changes_of_days
    WINDOW project AS (
        PARTITION BY changes_of_days.project_id
        ORDER BY changes_of_days.day
    )
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
        OR (batch.name, batch.images, batch.num_jobs, batch.uploaded_at, batch.changed_at, batch.gone_at)
        IS DISTINCT FROM (
            chained.name,
            chained.images,
            chained.num_jobs,
            chained.uploaded_at,
            chained.observed_at,
            CASE WHEN chained.kind = 'left' THEN chained.observed_at END
        )
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
            count(*) FILTER (WHERE chained.kind = 'entered') AS entered,
            count(*) FILTER (WHERE chained.kind = 'changed') AS changed,
            count(*) FILTER (WHERE chained.kind = 'renamed') AS renamed,
            count(*) FILTER (WHERE chained.kind = 'left') AS departed,
            count(*) FILTER (WHERE chained.kind = 'returned') AS returned,
            sum(chained.images_delta) AS images_delta,
            sum(chained.num_jobs_delta) AS num_jobs_delta
        FROM chained
        GROUP BY chained.observation_id
    ) AS counted
        ON counted.observation_id = observation.observation_id
    WHERE (
            observation.batches_entered,
            observation.batches_changed,
            observation.batches_renamed,
            observation.batches_left,
            observation.batches_returned,
            observation.images_delta,
            observation.num_jobs_delta
        ) IS DISTINCT FROM (
            coalesce(counted.entered, 0)::integer,
            coalesce(counted.changed, 0)::integer,
            coalesce(counted.renamed, 0)::integer,
            coalesce(counted.departed, 0)::integer,
            coalesce(counted.returned, 0)::integer,
            coalesce(counted.images_delta, 0)::bigint,
            coalesce(counted.num_jobs_delta, 0)::bigint
        )
        OR observation.verdict = CASE WHEN counted.observation_id IS NULL THEN 'changed' ELSE 'unchanged' END
    UNION ALL
    SELECT
        'observation_follows_from_the_one_before',
        followed.project_id,
        format('observation %s', followed.observation_id)
    FROM (
        SELECT
            observation.project_id,
            observation.observation_id,
            observation.batches - observation.batches_entered - observation.batches_returned
                + observation.batches_left - coalesce(lag(observation.batches) OVER project, 0) AS batches_amiss,
            observation.images - observation.images_delta
                - coalesce(lag(observation.images) OVER project, 0) AS images_amiss,
            observation.num_jobs - observation.num_jobs_delta
                - coalesce(lag(observation.num_jobs) OVER project, 0) AS num_jobs_amiss
        FROM ledger.observation
        WHERE observation.batches IS NOT NULL
        WINDOW project AS (
            PARTITION BY observation.project_id
            ORDER BY observation.observation_id
        )
    ) AS followed
    WHERE followed.batches_amiss <> 0
        OR followed.images_amiss <> 0
        OR followed.num_jobs_amiss <> 0
    UNION ALL
    SELECT
        'day_adds_up_its_changes',
        coalesce(totals_of_days.project_id, project_day.project_id),
        format('day %s', coalesce(totals_of_days.day, project_day.day))
    FROM totals_of_days
    FULL JOIN ledger.project_day
        ON project_day.project_id = totals_of_days.project_id
        AND project_day.day = totals_of_days.day
    WHERE (
            project_day.batches,
            project_day.images,
            project_day.num_jobs,
            project_day.images_delta,
            project_day.num_jobs_delta,
            project_day.batches_entered,
            project_day.batches_left
        ) IS DISTINCT FROM (
            totals_of_days.batches::integer,
            totals_of_days.images::bigint,
            totals_of_days.num_jobs::bigint,
            totals_of_days.images_delta::bigint,
            totals_of_days.num_jobs_delta::bigint,
            totals_of_days.entered::integer,
            totals_of_days.departed::integer
        )
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
    UNION ALL
    SELECT
        'look_up_is_kept',
        observation.project_id,
        format('observation %s, batch %s', look_up.observation_id, look_up.batch_id)
    FROM ledger.look_up
    INNER JOIN ledger.observation
        ON observation.observation_id = look_up.observation_id
    LEFT JOIN ledger.payload
        ON payload.digest = look_up.digest
    WHERE look_up.digest IS NOT NULL
        AND payload.digest IS NULL
    UNION ALL
    SELECT
        'gap_is_told',
        untrusted.project_id,
        format('observation %s (%s)', untrusted.observation_id, untrusted.verdict)
    -- The last attempt of each stretch stands for all of it: to look for the end of the stretch from each of them
    -- would take the square of their number.
    FROM (
        SELECT DISTINCT ON (observation.project_id, observation.previous_at)
            observation.project_id,
            observation.observation_id,
            observation.observed_at,
            observation.verdict
        FROM ledger.observation
        WHERE observation.verdict IN ('failed', 'suspect')
        ORDER BY
            observation.project_id,
            observation.previous_at,
            observation.observed_at DESC
    ) AS untrusted
    CROSS JOIN LATERAL (
        SELECT observation.gap_reasons
        FROM ledger.observation
        WHERE observation.project_id = untrusted.project_id
            AND observation.verdict IN ('changed', 'unchanged')
            AND observation.observed_at > untrusted.observed_at
        ORDER BY observation.observed_at ASC
        LIMIT 1
    ) AS ending
    WHERE ending.gap_reasons IS NULL
    UNION ALL
    SELECT
        'settled_is_settled',
        project.project_id,
        format('project row says %s', project.is_settled)
    FROM ledger.project
    WHERE project.is_settled
        AND EXISTS (
            SELECT FROM ledger.batch
            WHERE batch.project_id = project.project_id
                AND batch.gone_at IS NULL
                AND (
                    batch.missing_since IS NOT NULL
                    OR batch.unlisted_since IS NOT NULL
                    OR batch.carried_since IS NOT NULL
                )
        )
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
