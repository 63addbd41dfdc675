CREATE FUNCTION analytics.project_period(
    grain text,
    time_zone text,
    from_at timestamptz DEFAULT NULL,
    to_at timestamptz DEFAULT NULL,
    of_workspace text DEFAULT NULL,
    of_project text DEFAULT NULL
)
RETURNS TABLE (
    workspace text,
    project text,
    period_start timestamptz,
    period_end timestamptz,
    batches integer,
    images bigint,
    num_jobs bigint,
    images_delta bigint,
    num_jobs_delta bigint,
    is_observed boolean,
    days integer,
    observed_days integer,
    jobs_observed_days integer,
    jobs integer,
    job_images bigint,
    annotated bigint,
    approved bigint,
    rejected bigint,
    intake bigint,
    moved bigint,
    assigned bigint,
    unassigned bigint,
    removed bigint,
    annotated_work bigint,
    approved_work bigint,
    rejected_work bigint,
    remaining bigint,
    last_observed_at timestamptz,
    jobs_observed_at timestamptz,
    is_in_step boolean
)
LANGUAGE plpgsql
STABLE
-- As a view does, it reads the private tables for whoever may read the schema.
SECURITY DEFINER
PARALLEL SAFE
ROWS 1000
SET search_path = pg_catalog
AS $$
#variable_conflict use_column
BEGIN
    IF coalesce(project_period.grain NOT IN ('day', 'week', 'month', 'quarter', 'year'), TRUE) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%L is no grain', project_period.grain),
            HINT = 'It is day, week, month, quarter or year.';
    END IF;

    RETURN QUERY
    WITH
    -- Each project from its first observation, or later, until now, or earlier.
    asked AS (
        SELECT
            project.project_id,
            project.workspace,
            project.project,
            project.jobs_since,
            date_trunc(
                project_period.grain,
                greatest(first.observed_at, project_period.from_at) AT TIME ZONE project_period.time_zone
            ) AS begins,
            greatest(first.observed_at, project_period.from_at) AS since,
            least(project_period.to_at, now()) AS until,
            first.observed_at AS first_at,
            told.observed_at AS told_at,
            CASE project_period.grain
                WHEN 'quarter' THEN INTERVAL '3 months'
                ELSE ('1 ' || project_period.grain)::interval
            END AS step
        FROM ledger.project
        CROSS JOIN LATERAL (
            SELECT observation.observed_at
            FROM ledger.observation
            WHERE observation.project_id = project.project_id
                AND observation.batches IS NOT NULL
            ORDER BY observation.observed_at ASC
            LIMIT 1
        ) AS first
        -- When a batch was first seen to have a job: before, nothing is in one.
        LEFT JOIN LATERAL (
            SELECT observation.observed_at
            FROM (
                SELECT project_day.day
                FROM ledger.project_day
                WHERE project_day.project_id = project.project_id
                    AND project_day.num_jobs > 0
                ORDER BY project_day.day ASC
                LIMIT 1
            ) AS since
            INNER JOIN ledger.observation
                ON observation.project_id = project.project_id
                AND observation.observed_at >= since.day::timestamp AT TIME ZONE 'UTC'
                AND observation.num_jobs > 0
            ORDER BY observation.observed_at ASC
            LIMIT 1
        ) AS told ON TRUE
        WHERE (project_period.of_workspace IS NULL OR project.workspace = project_period.of_workspace)
            AND (project_period.of_project IS NULL OR project.project = project_period.of_project)
    ),
    -- Clocks are set on days of 23 or 25 hours: periods are counted by the clock on the wall, and told in instants.
    period AS (
        SELECT
            asked.project_id,
            asked.workspace,
            asked.project,
            series.begins AT TIME ZONE project_period.time_zone AS period_start,
            (series.begins + asked.step) AT TIME ZONE project_period.time_zone AS period_end,
            series.begins::date AS first_day,
            (series.begins + asked.step)::date - 1 AS last_day,
            asked.first_at,
            (series.begins + asked.step) AT TIME ZONE project_period.time_zone > asked.jobs_since AS is_known,
            coalesce(
                (series.begins + asked.step) AT TIME ZONE project_period.time_zone <= asked.told_at,
                TRUE
            ) AS is_jobless
        FROM asked
        -- Clocks that are set back to midnight show the same hour as the end of a day and as the beginning of the next.
        CROSS JOIN LATERAL generate_series(
            asked.begins - asked.step,
            asked.until AT TIME ZONE project_period.time_zone,
            asked.step
        ) AS series (begins)
        -- What ends where another period begins is not part of it.
        WHERE series.begins AT TIME ZONE project_period.time_zone < asked.until
            AND (series.begins + asked.step) AT TIME ZONE project_period.time_zone > asked.since
    )
    SELECT
        period.workspace,
        period.project,
        period.period_start,
        period.period_end,
        coalesce(ended.batches, 0),
        coalesce(ended.images, 0),
        coalesce(ended.num_jobs, 0),
        coalesce(flow.images_delta, 0),
        coalesce(flow.num_jobs_delta, 0),
        seen.observed_days > 0,
        seen.days,
        seen.observed_days,
        seen.jobs_observed_days,
        CASE WHEN period.is_known THEN coalesce(ended_jobs.jobs, 0) END,
        CASE WHEN period.is_known THEN coalesce(ended_jobs.job_images, 0) END,
        CASE WHEN period.is_known THEN coalesce(ended_jobs.annotated, 0) END,
        CASE WHEN period.is_known THEN coalesce(ended_jobs.approved, 0) END,
        CASE WHEN period.is_known THEN coalesce(ended_jobs.rejected, 0) END,
        coalesce(flow.intake, CASE WHEN seen.observed_days > 0 OR flow.is_begun THEN 0 END),
        coalesce(flow.moved, CASE WHEN seen.observed_days > 0 OR flow.is_begun THEN 0 END),
        coalesce(flow.assigned, CASE WHEN seen.observed_days > 0 OR flow.is_begun THEN 0 END),
        coalesce(flow.unassigned, CASE WHEN seen.observed_days > 0 OR flow.is_begun THEN 0 END),
        coalesce(flow.removed, CASE WHEN seen.observed_days > 0 OR flow.is_begun THEN 0 END),
        coalesce(work.annotated_work, CASE WHEN seen.jobs_observed_days > 0 THEN 0 END),
        coalesce(work.approved_work, CASE WHEN seen.jobs_observed_days > 0 THEN 0 END),
        coalesce(work.rejected_work, CASE WHEN seen.jobs_observed_days > 0 THEN 0 END),
        CASE
            WHEN period.is_known OR period.is_jobless
                THEN coalesce(ended.images, 0) + coalesce(ended_jobs.job_images - ended_jobs.annotated, 0)
        END,
        last.observed_at,
        jobs.observed_at,
        CASE
            WHEN jobs.observed_at IS NOT NULL
                THEN jobs.is_beside_trusted
                AND jobs.images = coalesce(ended.images, 0)
                AND jobs.num_jobs = coalesce(ended.num_jobs, 0)
                AND jobs.jobs = coalesce(ended_jobs.jobs, 0)
                AND jobs.job_images = coalesce(ended_jobs.job_images, 0)
                AND jobs.annotated = coalesce(ended_jobs.annotated, 0)
            WHEN period.is_jobless THEN TRUE
        END
    FROM period
    LEFT JOIN LATERAL (
        SELECT
            observation.batches,
            observation.images,
            observation.num_jobs
        FROM ledger.observation
        WHERE observation.project_id = period.project_id
            AND observation.batches IS NOT NULL
            AND observation.observed_at < period.period_end
        ORDER BY observation.observed_at DESC
        LIMIT 1
    ) AS ended ON TRUE
    -- The jobs are read shortly after the batches: the end of a period may fall in between.
    LEFT JOIN LATERAL (
        SELECT
            observation.jobs,
            observation.job_images,
            observation.annotated,
            observation.approved,
            observation.rejected
        FROM ledger.observation
        WHERE observation.project_id = period.project_id
            AND observation.batches IS NOT NULL
            AND observation.observed_at < period.period_end
            AND coalesce(observation.jobs_at, observation.observed_at) < period.period_end
            AND period.is_known
        ORDER BY observation.observed_at DESC
        LIMIT 1
    ) AS ended_jobs ON TRUE
    CROSS JOIN LATERAL (
        SELECT
            sum(observation.images_delta)::bigint AS images_delta,
            sum(observation.num_jobs_delta)::bigint AS num_jobs_delta,
            sum(observation.intake)::bigint AS intake,
            sum(observation.moved)::bigint AS moved,
            sum(observation.assigned)::bigint AS assigned,
            sum(observation.unassigned)::bigint AS unassigned,
            sum(observation.removed)::bigint AS removed,
            -- Compared with nothing: it has no flows, and where it was suspect it is no observed day either.
            bool_or(observation.previous_at IS NULL AND observation.batches_entered > 0) AS is_begun
        FROM ledger.observation
        WHERE observation.project_id = period.project_id
            AND observation.observed_at >= period.period_start
            AND observation.observed_at < period.period_end
    ) AS flow
    CROSS JOIN LATERAL (
        SELECT
            sum(observation.annotated_work)::bigint AS annotated_work,
            sum(observation.approved_work)::bigint AS approved_work,
            sum(observation.rejected_work)::bigint AS rejected_work
        FROM ledger.observation
        WHERE observation.project_id = period.project_id
            AND observation.observed_at >= period.period_start - INTERVAL '6 hours'
            AND observation.observed_at < period.period_end
            AND observation.jobs_at >= period.period_start
            AND observation.jobs_at < period.period_end
            AND period.is_known
    ) AS work
    -- Of folded observations the first and the last are known: they may fall into two days.
    CROSS JOIN LATERAL (
        SELECT
            count(*)::integer AS days,
            count(*) FILTER (
                WHERE (
                    SELECT coalesce(observation.span_from, observation.observed_at) < day.ends_at
                    FROM ledger.observation
                    WHERE observation.project_id = period.project_id
                        AND observation.verdict IN ('changed', 'unchanged')
                        AND observation.observed_at >= day.begins_at
                    ORDER BY observation.observed_at ASC
                    LIMIT 1
                )
            )::integer AS observed_days,
            count(*) FILTER (
                WHERE EXISTS (
                    SELECT FROM ledger.observation
                    WHERE observation.project_id = period.project_id
                        AND observation.jobs_verdict IN ('changed', 'unchanged')
                        AND observation.jobs_at >= day.begins_at
                        -- Of folded ones the first is a day older at most.
                        AND observation.jobs_at < day.ends_at + INTERVAL '1 day'
                        AND (observation.jobs_at < day.ends_at OR observation.span_from < day.ends_at)
                )
            )::integer AS jobs_observed_days
        FROM (
            SELECT
                (period.first_day + nth)::timestamp AT TIME ZONE project_period.time_zone AS begins_at,
                (period.first_day + nth + 1)::timestamp AT TIME ZONE project_period.time_zone AS ends_at
            FROM generate_series(0, period.last_day - period.first_day) AS nth
        ) AS day
        WHERE day.ends_at > period.first_at
            AND day.begins_at <= now()
    ) AS seen
    LEFT JOIN LATERAL (
        SELECT max(known.observed_at) AS observed_at
        FROM (
            (
                SELECT observation.observed_at
                FROM ledger.observation
                WHERE observation.project_id = period.project_id
                    AND observation.verdict IN ('changed', 'unchanged')
                    AND observation.observed_at < period.period_end
                ORDER BY observation.observed_at DESC
                LIMIT 1
            )
            UNION ALL
            (
                SELECT CASE WHEN observation.span_from < period.period_end THEN observation.span_from END
                FROM ledger.observation
                WHERE observation.project_id = period.project_id
                    AND observation.verdict IN ('changed', 'unchanged')
                    AND observation.observed_at >= period.period_end
                ORDER BY observation.observed_at ASC
                LIMIT 1
            )
        ) AS known
    ) AS last ON TRUE
    -- Of folded readings, which all say the same, the end of a period may cut off the last.
    LEFT JOIN LATERAL (
        SELECT
            known.observed_at,
            known.verdict IN ('changed', 'unchanged') AS is_beside_trusted,
            known.images,
            known.num_jobs,
            known.jobs,
            known.job_images,
            known.annotated
        FROM (
            (
                SELECT
                    observation.jobs_at AS observed_at,
                    observation.verdict,
                    observation.images,
                    observation.num_jobs,
                    observation.jobs,
                    observation.job_images,
                    observation.annotated
                FROM ledger.observation
                WHERE observation.project_id = period.project_id
                    AND observation.jobs_verdict IN ('changed', 'unchanged')
                    AND observation.jobs_at < period.period_end
                ORDER BY observation.jobs_at DESC
                LIMIT 1
            )
            UNION ALL
            (
                SELECT
                    later.span_from,
                    later.verdict,
                    later.images,
                    later.num_jobs,
                    later.jobs,
                    later.job_images,
                    later.annotated
                FROM (
                    SELECT
                        observation.span_from,
                        observation.verdict,
                        observation.images,
                        observation.num_jobs,
                        observation.jobs,
                        observation.job_images,
                        observation.annotated
                    FROM ledger.observation
                    WHERE observation.project_id = period.project_id
                        AND observation.jobs_verdict IN ('changed', 'unchanged')
                        AND observation.jobs_at >= period.period_end
                    ORDER BY observation.jobs_at ASC
                    LIMIT 1
                ) AS later
                WHERE later.span_from < period.period_end
            )
        ) AS known
        ORDER BY known.observed_at DESC
        LIMIT 1
    ) AS jobs ON TRUE;
END
$$;

COMMENT ON FUNCTION analytics.project_period(text, text, timestamptz, timestamptz, text, text) IS 'One project and day, week (from Monday), month, quarter or year (grain) by the clock of a time zone such as Asia/Kolkata, from the period that from_at falls into to the last one that begins before to_at, without holes; NULL: from the first observation, until now. Of one project; of all where of_workspace or of_project is NULL. The columns mean what those of project_monthly do: counts are those at the end of the period, as last observed by then; flows are what was seen in it, NULL where nobody looked; of its days so far (days), observed_days had a trusted observation and jobs_observed_days one of the jobs; is_observed: whether any had. period_end is where the next one begins. A midnight that a clock shows twice is the second.';
