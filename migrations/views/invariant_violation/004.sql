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
jobs AS (
    SELECT
        job.project_id,
        count(*) FILTER (WHERE job.gone_at IS NULL) AS jobs,
        sum(job.images) AS images,
        sum(coalesce(job.annotated, 0)) AS annotated,
        sum(coalesce(job.approved, 0)) AS approved,
        sum(coalesce(job.rejected, 0)) AS rejected
    FROM ledger.job
    GROUP BY job.project_id
),
job_changes AS (
    SELECT
        job_change.project_id,
        count(*) FILTER (WHERE job_change.kind IN ('entered', 'returned'))
            - count(*) FILTER (WHERE job_change.kind = 'left') AS jobs,
        sum(job_change.images_delta) AS images,
        sum(job_change.annotated_delta) AS annotated,
        sum(job_change.approved_delta) AS approved,
        sum(job_change.rejected_delta) AS rejected
    FROM ledger.job_change
    GROUP BY job_change.project_id
),
-- What the changes and the observations say of each day, beside what the day itself says.
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
job_changes_of_days AS (
    SELECT
        job_change.project_id,
        (job_change.observed_at AT TIME ZONE 'UTC')::date AS day,
        count(*) FILTER (WHERE job_change.kind IN ('entered', 'returned'))
            - count(*) FILTER (WHERE job_change.kind = 'left') AS jobs_delta,
        sum(job_change.images_delta) AS images_delta,
        sum(job_change.annotated_delta) AS annotated_delta,
        sum(job_change.approved_delta) AS approved_delta,
        sum(job_change.rejected_delta) AS rejected_delta
    FROM ledger.job_change
    GROUP BY
        job_change.project_id,
        (job_change.observed_at AT TIME ZONE 'UTC')::date
),
flows_of_days AS (
    SELECT
        observation.project_id,
        (observation.observed_at AT TIME ZONE 'UTC')::date AS day,
        sum(observation.intake) AS intake,
        sum(observation.moved) AS moved,
        sum(observation.assigned) AS assigned,
        sum(observation.unassigned) AS unassigned,
        sum(observation.removed) AS removed
    FROM ledger.observation
    WHERE (
            observation.intake,
            observation.moved,
            observation.assigned,
            observation.unassigned,
            observation.removed
        ) <> (0, 0, 0, 0, 0)
    GROUP BY
        observation.project_id,
        (observation.observed_at AT TIME ZONE 'UTC')::date
),
work_of_days AS (
    SELECT
        observation.project_id,
        (observation.jobs_at AT TIME ZONE 'UTC')::date AS day,
        sum(observation.annotated_work) AS annotated_work,
        sum(observation.approved_work) AS approved_work,
        sum(observation.rejected_work) AS rejected_work
    FROM ledger.observation
    WHERE observation.annotated_work IS NOT NULL
    GROUP BY
        observation.project_id,
        (observation.jobs_at AT TIME ZONE 'UTC')::date
),
told_of_days AS (
    SELECT
        project_id,
        day,
        coalesce(changes_of_days.entered, 0) AS entered,
        coalesce(changes_of_days.departed, 0) AS departed,
        coalesce(changes_of_days.images_delta, 0) AS images_delta,
        coalesce(changes_of_days.num_jobs_delta, 0) AS num_jobs_delta,
        coalesce(job_changes_of_days.jobs_delta, 0) AS jobs_delta,
        coalesce(job_changes_of_days.images_delta, 0) AS job_images_delta,
        coalesce(job_changes_of_days.annotated_delta, 0) AS annotated_delta,
        coalesce(job_changes_of_days.approved_delta, 0) AS approved_delta,
        coalesce(job_changes_of_days.rejected_delta, 0) AS rejected_delta,
        coalesce(flows_of_days.intake, 0) AS intake,
        coalesce(flows_of_days.moved, 0) AS moved,
        coalesce(flows_of_days.assigned, 0) AS assigned,
        coalesce(flows_of_days.unassigned, 0) AS unassigned,
        coalesce(flows_of_days.removed, 0) AS removed,
        coalesce(work_of_days.annotated_work, 0) AS annotated_work,
        coalesce(work_of_days.approved_work, 0) AS approved_work,
        coalesce(work_of_days.rejected_work, 0) AS rejected_work
    FROM changes_of_days
    FULL JOIN job_changes_of_days USING (project_id, day)
    -- What suspect observations saw can be judged anew on a day on which no batch changed.
    FULL JOIN flows_of_days USING (project_id, day)
    LEFT JOIN work_of_days USING (project_id, day)
),
totals_of_days AS (
    SELECT
        told_of_days.project_id,
        told_of_days.day,
        told_of_days.entered,
        told_of_days.departed,
        told_of_days.images_delta,
        told_of_days.num_jobs_delta,
        told_of_days.jobs_delta,
        told_of_days.job_images_delta,
        told_of_days.annotated_delta,
        told_of_days.approved_delta,
        told_of_days.rejected_delta,
        told_of_days.intake,
        told_of_days.moved,
        told_of_days.assigned,
        told_of_days.unassigned,
        told_of_days.removed,
        told_of_days.annotated_work,
        told_of_days.approved_work,
        told_of_days.rejected_work,
        sum(told_of_days.entered - told_of_days.departed) OVER project AS batches,
        sum(told_of_days.images_delta) OVER project AS images,
        sum(told_of_days.num_jobs_delta) OVER project AS num_jobs,
        sum(told_of_days.jobs_delta) OVER project AS jobs,
        sum(told_of_days.job_images_delta) OVER project AS job_images,
        sum(told_of_days.annotated_delta) OVER project AS annotated,
        sum(told_of_days.approved_delta) OVER project AS approved,
        sum(told_of_days.rejected_delta) OVER project AS rejected
    FROM told_of_days
    WINDOW project AS (
        PARTITION BY told_of_days.project_id
        ORDER BY told_of_days.day
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
last_job_observations AS (
    SELECT DISTINCT ON (observation.project_id)
        observation.project_id,
        observation.jobs,
        observation.job_images,
        observation.annotated,
        observation.approved,
        observation.rejected
    FROM ledger.observation
    WHERE observation.jobs IS NOT NULL
    ORDER BY
        observation.project_id,
        observation.observation_id DESC
),
claimed_job_totals AS (
    SELECT
        'jobs_balance' AS invariant,
        project.project_id,
        coalesce(jobs.jobs, 0) AS jobs,
        coalesce(jobs.images, 0) AS images,
        coalesce(jobs.annotated, 0) AS annotated,
        coalesce(jobs.approved, 0) AS approved,
        coalesce(jobs.rejected, 0) AS rejected
    FROM ledger.project
    LEFT JOIN jobs
        ON jobs.project_id = project.project_id
    UNION ALL
    SELECT
        'job_changes_balance' AS invariant,
        project.project_id,
        coalesce(job_changes.jobs, 0) AS jobs,
        coalesce(job_changes.images, 0) AS images,
        coalesce(job_changes.annotated, 0) AS annotated,
        coalesce(job_changes.approved, 0) AS approved,
        coalesce(job_changes.rejected, 0) AS rejected
    FROM ledger.project
    LEFT JOIN job_changes
        ON job_changes.project_id = project.project_id
    UNION ALL
    SELECT
        'last_observation_balances' AS invariant,
        project.project_id,
        coalesce(last_job_observations.jobs, 0) AS jobs,
        coalesce(last_job_observations.job_images, 0) AS images,
        coalesce(last_job_observations.annotated, 0) AS annotated,
        coalesce(last_job_observations.approved, 0) AS approved,
        coalesce(last_job_observations.rejected, 0) AS rejected
    FROM ledger.project
    LEFT JOIN last_job_observations
        ON last_job_observations.project_id = project.project_id
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
job_chained AS (
    SELECT
        job_change.project_id,
        job_change.job_id,
        job_change.observation_id,
        job_change.kind,
        job_change.name,
        job_change.status,
        job_change.batch_id,
        job_change.images,
        job_change.annotated,
        job_change.unannotated,
        job_change.approved,
        job_change.rejected,
        job_change.labeler,
        job_change.reviewer,
        job_change.created_at,
        job_change.images_delta,
        job_change.annotated_delta,
        job_change.approved_delta,
        job_change.rejected_delta,
        job_change.observed_at,
        job_change.changed_after,
        lag(job_change.kind) OVER job AS kind_before,
        coalesce(lag(job_change.images) OVER job, 0) AS images_before,
        coalesce(lag(job_change.annotated) OVER job, 0) AS annotated_before,
        coalesce(lag(job_change.approved) OVER job, 0) AS approved_before,
        coalesce(lag(job_change.rejected) OVER job, 0) AS rejected_before,
        lag(job_change.observed_at) OVER job AS observed_before,
        lead(job_change.kind) OVER job IS NULL AS is_last
    FROM ledger.job_change
    WINDOW job AS (
        PARTITION BY job_change.project_id, job_change.job_id
        ORDER BY job_change.observation_id
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
            project_day.batches_left,
            project_day.job_images_delta,
            project_day.annotated_delta,
            project_day.approved_delta,
            project_day.rejected_delta,
            project_day.intake,
            project_day.moved,
            project_day.assigned,
            project_day.unassigned,
            project_day.removed,
            project_day.annotated_work,
            project_day.approved_work,
            project_day.rejected_work
        ) IS DISTINCT FROM (
            totals_of_days.batches::integer,
            totals_of_days.images::bigint,
            totals_of_days.num_jobs::bigint,
            totals_of_days.images_delta::bigint,
            totals_of_days.num_jobs_delta::bigint,
            totals_of_days.entered::integer,
            totals_of_days.departed::integer,
            totals_of_days.job_images_delta::bigint,
            totals_of_days.annotated_delta::bigint,
            totals_of_days.approved_delta::bigint,
            totals_of_days.rejected_delta::bigint,
            totals_of_days.intake::bigint,
            totals_of_days.moved::bigint,
            totals_of_days.assigned::bigint,
            totals_of_days.unassigned::bigint,
            totals_of_days.removed::bigint,
            totals_of_days.annotated_work::bigint,
            totals_of_days.approved_work::bigint,
            totals_of_days.rejected_work::bigint
        )
        -- Before the jobs were first read nothing is told of them.
        OR (
            project_day.jobs IS NOT NULL
            AND (
                project_day.jobs,
                project_day.job_images,
                project_day.annotated,
                project_day.approved,
                project_day.rejected
            ) IS DISTINCT FROM (
                totals_of_days.jobs::integer,
                totals_of_days.job_images::bigint,
                totals_of_days.annotated::bigint,
                totals_of_days.approved::bigint,
                totals_of_days.rejected::bigint
            )
        )
        OR (project_day.jobs IS NULL AND totals_of_days.jobs_delta <> 0)
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
        'payload_is_kept',
        observation.project_id,
        format('observation %s, of jobs', observation.observation_id)
    FROM ledger.observation
    LEFT JOIN ledger.payload
        ON payload.digest = observation.jobs_digest
    WHERE observation.jobs_digest IS NOT NULL
        AND payload.digest IS NULL
    UNION ALL
    SELECT
        'look_up_is_kept',
        observation.project_id,
        format('observation %s, %s %s', look_up.observation_id, look_up.subject, look_up.record_id)
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
    UNION ALL
    SELECT
        'settled_is_settled',
        project.project_id,
        format('project row says %s of jobs', project.jobs_settled)
    FROM ledger.project
    WHERE project.jobs_settled
        AND EXISTS (
            SELECT FROM ledger.job
            WHERE job.project_id = project.project_id
                AND job.gone_at IS NULL
                AND (
                    job.missing_since IS NOT NULL
                    OR job.unlisted_since IS NOT NULL
                    OR job.carried_since IS NOT NULL
                )
        )
    UNION ALL
    SELECT
        claimed_job_totals.invariant,
        project.project_id,
        format(
            'project row says %s jobs, %s images, %s annotated, %s approved, %s rejected; these say %s, %s, %s, %s, %s',
            project.jobs, project.job_images, project.annotated, project.approved, project.rejected,
            claimed_job_totals.jobs, claimed_job_totals.images, claimed_job_totals.annotated,
            claimed_job_totals.approved, claimed_job_totals.rejected
        )
    FROM claimed_job_totals
    INNER JOIN ledger.project
        ON project.project_id = claimed_job_totals.project_id
    WHERE (
            claimed_job_totals.jobs,
            claimed_job_totals.images,
            claimed_job_totals.annotated,
            claimed_job_totals.approved,
            claimed_job_totals.rejected
        ) IS DISTINCT FROM (
            project.jobs::bigint,
            project.job_images::numeric,
            project.annotated::numeric,
            project.approved::numeric,
            project.rejected::numeric
        )
    UNION ALL
    SELECT
        'current_row_is_last_change',
        job.project_id,
        format('job %s differs from its last change', job.job_id)
    FROM ledger.job
    LEFT JOIN job_chained AS chained
        ON chained.project_id = job.project_id
        AND chained.job_id = job.job_id
        AND chained.is_last
    WHERE chained.job_id IS NULL
        OR (
            job.name,
            job.status,
            job.batch_id,
            job.images,
            job.annotated,
            job.unannotated,
            job.approved,
            job.rejected,
            job.labeler,
            job.reviewer,
            job.created_at,
            job.changed_at,
            job.gone_at
        ) IS DISTINCT FROM (
            chained.name,
            chained.status,
            chained.batch_id,
            chained.images,
            chained.annotated,
            chained.unannotated,
            chained.approved,
            chained.rejected,
            chained.labeler,
            chained.reviewer,
            chained.created_at,
            chained.observed_at,
            CASE WHEN chained.kind = 'left' THEN chained.observed_at END
        )
    UNION ALL
    SELECT
        'change_has_its_job',
        chained.project_id,
        format('job %s has changes and no row', chained.job_id)
    FROM job_chained AS chained
    LEFT JOIN ledger.job
        ON job.project_id = chained.project_id
        AND job.job_id = chained.job_id
    WHERE chained.is_last
        AND job.job_id IS NULL
    UNION ALL
    SELECT
        'change_follows_from_the_one_before',
        chained.project_id,
        format('job %s, observation %s (%s)', chained.job_id, chained.observation_id, chained.kind)
    FROM job_chained AS chained
    WHERE chained.images_delta <> chained.images - chained.images_before
        OR chained.annotated_delta <> coalesce(chained.annotated, 0) - chained.annotated_before
        OR chained.approved_delta <> coalesce(chained.approved, 0) - chained.approved_before
        OR chained.rejected_delta <> coalesce(chained.rejected, 0) - chained.rejected_before
        OR chained.observed_at <= chained.observed_before
        OR chained.changed_after < chained.observed_before
        OR (chained.kind = 'entered') <> (chained.kind_before IS NULL)
        OR (chained.kind = 'returned') <> coalesce(chained.kind_before = 'left', FALSE)
    UNION ALL
    SELECT
        'change_belongs_to_an_observation',
        chained.project_id,
        format('job %s, observation %s (%s)', chained.job_id, chained.observation_id, chained.kind)
    FROM job_chained AS chained
    LEFT JOIN ledger.observation
        ON observation.observation_id = chained.observation_id
        AND observation.project_id = chained.project_id
        AND observation.jobs_at = chained.observed_at
    WHERE coalesce(observation.jobs_verdict NOT IN ('changed', 'suspect'), TRUE)
        OR (chained.kind = 'left' AND observation.jobs_verdict <> 'changed')
    UNION ALL
    SELECT
        'observation_counts_its_changes',
        observation.project_id,
        format('observation %s, of jobs', observation.observation_id)
    FROM ledger.observation
    LEFT JOIN (
        SELECT
            job_chained.observation_id,
            count(*) AS changes
        FROM job_chained
        GROUP BY job_chained.observation_id
    ) AS counted
        ON counted.observation_id = observation.observation_id
    WHERE coalesce(observation.jobs_changes, 0) <> coalesce(counted.changes, 0)
        OR observation.jobs_verdict = CASE WHEN counted.observation_id IS NULL THEN 'changed' ELSE 'unchanged' END
    UNION ALL
    SELECT
        'observation_follows_from_the_one_before',
        followed.project_id,
        format('observation %s, of jobs', followed.observation_id)
    FROM (
        SELECT
            observation.project_id,
            observation.observation_id,
            observation.jobs - coalesce(lag(observation.jobs) OVER project, 0)
                - coalesce(counted.jobs_delta, 0) AS jobs_amiss,
            observation.job_images - coalesce(lag(observation.job_images) OVER project, 0)
                - coalesce(counted.images_delta, 0) AS images_amiss,
            observation.annotated - coalesce(lag(observation.annotated) OVER project, 0)
                - coalesce(counted.annotated_delta, 0) AS annotated_amiss,
            observation.approved - coalesce(lag(observation.approved) OVER project, 0)
                - coalesce(counted.approved_delta, 0) AS approved_amiss,
            observation.rejected - coalesce(lag(observation.rejected) OVER project, 0)
                - coalesce(counted.rejected_delta, 0) AS rejected_amiss
        FROM ledger.observation
        LEFT JOIN (
            SELECT
                job_chained.observation_id,
                count(*) FILTER (WHERE job_chained.kind IN ('entered', 'returned'))
                    - count(*) FILTER (WHERE job_chained.kind = 'left') AS jobs_delta,
                sum(job_chained.images_delta) AS images_delta,
                sum(job_chained.annotated_delta) AS annotated_delta,
                sum(job_chained.approved_delta) AS approved_delta,
                sum(job_chained.rejected_delta) AS rejected_delta
            FROM job_chained
            GROUP BY job_chained.observation_id
        ) AS counted
            ON counted.observation_id = observation.observation_id
        WHERE observation.jobs IS NOT NULL
        WINDOW project AS (
            PARTITION BY observation.project_id
            ORDER BY observation.observation_id
        )
    ) AS followed
    WHERE (
            followed.jobs_amiss,
            followed.images_amiss,
            followed.annotated_amiss,
            followed.approved_amiss,
            followed.rejected_amiss
        ) IS DISTINCT FROM (0::bigint, 0::numeric, 0::numeric, 0::numeric, 0::numeric)
    UNION ALL
    SELECT
        'observations_are_in_order',
        ordered.project_id,
        format('observation %s, of jobs', ordered.observation_id)
    FROM (
        SELECT
            observation.project_id,
            observation.observation_id,
            observation.observed_at,
            observation.jobs_at,
            lag(observation.jobs_at) OVER (
                PARTITION BY observation.project_id
                ORDER BY observation.observation_id
            ) AS jobs_before
        FROM ledger.observation
        WHERE observation.jobs_at IS NOT NULL
    ) AS ordered
    WHERE ordered.jobs_at <= ordered.jobs_before
        OR ordered.jobs_at < ordered.observed_at
    UNION ALL
    -- What came less what went is what is there more; every image is counted once.
    SELECT
        'flows_balance',
        observation.project_id,
        format('observation %s', observation.observation_id)
    FROM ledger.observation
    WHERE observation.images_delta
            <> observation.intake + observation.unassigned - observation.assigned - observation.removed
        -- Less than nothing is told only to correct a suspect observation before. What came back was removed once.
        OR (
            least(observation.intake, observation.moved, observation.assigned, observation.unassigned) < 0
            AND NOT EXISTS (
                SELECT
                FROM ledger.observation AS suspect
                WHERE suspect.project_id = observation.project_id
                    AND suspect.verdict = 'suspect'
                    AND suspect.observed_at > observation.previous_at
                    AND suspect.observed_at < observation.observed_at
            )
        )
        -- What was compared with something tells it, and nothing else does.
        OR (
            observation.intake IS NULL
            AND observation.previous_at IS NOT NULL
            AND observation.verdict IN ('changed', 'suspect')
        )
        OR (
            observation.intake IS NOT NULL
            AND (observation.previous_at IS NULL OR observation.verdict IN ('failed', 'skipped'))
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
