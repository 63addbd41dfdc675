CREATE VIEW analytics.forecast AS
SELECT
    rated.workspace,
    rated.project,
    rated.basis,
    rated.backlog,
    rated.remaining,
    rated.observed_days,
    rated.elapsed_days,
    rated.intake_per_day,
    rated.intake_se,
    rated.assigned_per_day,
    rated.assigned_se,
    rated.annotated_per_day,
    rated.annotated_se,
    rated.net_per_day,
    rated.net_se,
    CASE WHEN ended.is_told THEN dated.early END AS end_early,
    CASE WHEN ended.is_told THEN dated.likely END AS end_likely,
    CASE WHEN ended.is_told THEN dated.late END AS end_late,
    rated.last_observed_at,
    rated.jobs_observed_at,
    rated.is_in_step
FROM (
    SELECT
        project.workspace,
        project.project,
        CASE WHEN project.jobs_since IS NULL THEN 'assigned' ELSE 'annotated' END AS basis,
        project.images AS backlog,
        remaining.images AS remaining,
        coalesce(remaining.images, project.images)::double precision AS left_over,
        rate.observed_days,
        rate.elapsed_days,
        rate.intake AS intake_per_day,
        sqrt(spread.intake / rate.elapsed_days) AS intake_se,
        rate.assigned AS assigned_per_day,
        sqrt(spread.assigned / rate.elapsed_days) AS assigned_se,
        rate.annotated AS annotated_per_day,
        sqrt(spread.annotated / rate.elapsed_days) AS annotated_se,
        rate.net AS net_per_day,
        sqrt(spread.net / rate.elapsed_days) AS net_se,
        spread.net AS net_variance,
        trusted.observed_at AS last_observed_at,
        trusted_jobs.jobs_at AS jobs_observed_at,
        (coalesce(trusted_jobs.jobs_at, trusted.observed_at) AT TIME ZONE 'UTC')::date AS as_of,
        (now() AT TIME ZONE 'UTC')::date AS today,
        coalesce(trusted_jobs.is_in_step, CASE WHEN remaining.images IS NOT NULL THEN TRUE END) AS is_in_step
    FROM ledger.project
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN project.jobs_since IS NOT NULL THEN project.images + project.job_images - project.annotated
                -- Where no batch ever had a job, nothing is in one.
                WHEN NOT EXISTS (
                    SELECT FROM ledger.project_day
                    WHERE project_day.project_id = project.project_id
                        AND project_day.num_jobs > 0
                ) THEN project.images
            END AS images
    ) AS remaining
    INNER JOIN LATERAL (
        SELECT observation.observed_at
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.verdict IN ('changed', 'unchanged')
        ORDER BY observation.observed_at DESC
        LIMIT 1
    ) AS trusted ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            observation.jobs_at,
            observation.verdict IN ('changed', 'unchanged')
            AND (
                observation.images,
                observation.num_jobs,
                observation.jobs,
                observation.job_images,
                observation.annotated
            ) = (
                project.images,
                project.num_jobs,
                project.jobs,
                project.job_images,
                project.annotated
            ) AS is_in_step
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.jobs_verdict IN ('changed', 'unchanged')
        ORDER BY observation.jobs_at DESC
        LIMIT 1
    ) AS trusted_jobs ON TRUE
    -- Each stretch that ends with a day on which somebody looked. What was seen then happened on that day or on one
    -- of those before it on which nobody did, so it counts for all of them.
    CROSS JOIN LATERAL (
        SELECT
            array_agg(stretch.days ORDER BY stretch.place) AS days,
            array_agg(stretch.intake ORDER BY stretch.place) AS intake,
            array_agg(stretch.assigned ORDER BY stretch.place) AS assigned,
            array_agg(stretch.annotated ORDER BY stretch.place) AS annotated,
            array_agg(stretch.fallen ORDER BY stretch.place) AS fallen
        FROM (
            SELECT
                day.place,
                count(*)::double precision AS days,
                coalesce(sum(day.intake), 0)::double precision AS intake,
                coalesce(sum(day.assigned - day.unassigned), 0)::double precision AS assigned,
                coalesce(sum(day.annotated_work), 0)::double precision AS annotated,
                coalesce(sum(day.fallen), 0)::double precision AS fallen
            FROM (
                SELECT
                    sampled.intake,
                    sampled.assigned,
                    sampled.unassigned,
                    sampled.annotated_work,
                    lag(sampled.left_over) OVER (ORDER BY sampled.day) - sampled.left_over AS fallen,
                    count(*) FILTER (WHERE sampled.is_sampled) OVER (ORDER BY sampled.day DESC) AS place,
                    count(*) FILTER (WHERE sampled.is_sampled) OVER () AS places
                FROM (
                    SELECT
                        project_daily.day,
                        project_daily.intake,
                        project_daily.assigned,
                        project_daily.unassigned,
                        project_daily.annotated_work,
                        CASE
                            WHEN project.jobs_since IS NULL THEN project_daily.images
                            ELSE project_daily.remaining
                        END AS left_over,
                        CASE
                            WHEN project.jobs_since IS NULL THEN project_daily.is_observed
                            ELSE project_daily.is_jobs_observed AND project_daily.is_in_step
                        END AS is_sampled
                    FROM analytics.project_daily
                    WHERE project_daily.workspace = project.workspace
                        AND project_daily.project = project.project
                        -- Today is not over.
                        AND project_daily.day < (now() AT TIME ZONE 'UTC')::date
                        AND project_daily.day >= (now() AT TIME ZONE 'UTC')::date - 90
                ) AS sampled
            ) AS day
            -- The first day of all is where counting begins, and what came before the window is not known.
            WHERE day.place BETWEEN 1 AND least(28, day.places - 1)
            GROUP BY day.place
        ) AS stretch
    ) AS sample
    CROSS JOIN LATERAL (
        SELECT
            count(*)::integer AS observed_days,
            nullif(sum(one.days), 0) AS elapsed_days,
            sum(one.intake) / sum(one.days) AS intake,
            sum(one.assigned) / sum(one.days) AS assigned,
            CASE WHEN project.jobs_since IS NOT NULL THEN sum(one.annotated) / sum(one.days) END AS annotated,
            sum(one.fallen) / sum(one.days) AS net
        FROM unnest(sample.days, sample.intake, sample.assigned, sample.annotated, sample.fallen)
            AS one (days, intake, assigned, annotated, fallen)
    ) AS rate
    -- The variance of one day, from how far each stretch is from the mean of as many days.
    CROSS JOIN LATERAL (
        SELECT
            sum((one.intake - rate.intake * one.days) ^ 2 / one.days) / nullif(count(*) - 1, 0) AS intake,
            sum((one.assigned - rate.assigned * one.days) ^ 2 / one.days) / nullif(count(*) - 1, 0) AS assigned,
            sum((one.annotated - rate.annotated * one.days) ^ 2 / one.days) / nullif(count(*) - 1, 0) AS annotated,
            sum((one.fallen - rate.net * one.days) ^ 2 / one.days) / nullif(count(*) - 1, 0) AS net
        FROM unnest(sample.days, sample.intake, sample.assigned, sample.annotated, sample.fallen)
            AS one (days, intake, assigned, annotated, fallen)
    ) AS spread
) AS rated
-- After t days what is left has fallen by net * t, give or take z * sqrt(variance * t + (se * t)^2): the days differ, and the
-- mean of those observed is not that of those to come. The range ends where either edge of that meets what is left:
-- the roots of a * t^2 - b * t + c, with z for four cases in five.
CROSS JOIN LATERAL (
    SELECT
        rated.net_per_day ^ 2 - 1.2815515655446004 ^ 2 * rated.net_se ^ 2 AS a,
        2 * rated.left_over * rated.net_per_day + 1.2815515655446004 ^ 2 * rated.net_variance AS b,
        rated.left_over ^ 2 AS c
) AS equation
-- Without a root, which only work that grows can be, even the early edge turns back before it meets it.
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN rated.net_per_day > 0 OR equation.b ^ 2 >= 4 * equation.a * equation.c
                THEN equation.b + sqrt(greatest(equation.b ^ 2 - 4 * equation.a * equation.c, 0))
        END AS both
) AS root
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN rated.left_over <= 0 THEN 0
            WHEN rated.observed_days >= 5 AND root.both > 0 THEN 2 * equation.c / root.both
        END AS early,
        CASE
            WHEN rated.left_over <= 0 THEN 0
            WHEN rated.observed_days >= 5 AND rated.net_per_day > 0 THEN rated.left_over / rated.net_per_day
        END AS likely,
        CASE
            WHEN rated.left_over <= 0 THEN 0
            WHEN rated.observed_days >= 5 AND rated.net_per_day > 0 AND equation.a > 0
                THEN root.both / (2 * equation.a)
        END AS late
) AS until
-- What is ten years off is not in sight. What was to end by now has ended or not: nobody has looked since.
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN until.early = 0 THEN rated.as_of
            WHEN until.early <= 3652 THEN greatest(rated.as_of + ceil(until.early)::integer, rated.today)
        END AS early,
        CASE WHEN until.likely <= 3652 THEN rated.as_of + ceil(until.likely)::integer END AS likely,
        CASE WHEN until.late <= 3652 THEN rated.as_of + ceil(until.late)::integer END AS late
) AS dated
CROSS JOIN LATERAL (
    SELECT
        rated.is_in_step IS NOT FALSE
        AND (until.likely = 0 OR coalesce(dated.likely >= rated.today, TRUE)) AS is_told
) AS ended;

COMMENT ON VIEW analytics.forecast IS 'One project that was observed: the rates of its last 28 observed days (UTC, today left out, none older than 90 days), and when the work would end if they went on. What was seen after days without observation counts for all of these days. The range is that of four cases in five (80 %) if daily rates are normally distributed and go on as they were; fewer than 5 days give no end, and what would end more than ten years after it was last observed is not in sight.';
COMMENT ON COLUMN analytics.forecast.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.forecast.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.forecast.basis IS 'annotated: the end of remaining; assigned: the jobs were never read, so the end of the backlog.';
COMMENT ON COLUMN analytics.forecast.backlog IS 'Images not yet assigned, as last observed.';
COMMENT ON COLUMN analytics.forecast.remaining IS 'Images not yet annotated, in batches and in jobs, as last observed; NULL: there are jobs, which were never read.';
COMMENT ON COLUMN analytics.forecast.observed_days IS 'Observed days that the rates come from; of the basis annotated those on which the jobs were read, and is_in_step of analytics.project_daily is true.';
COMMENT ON COLUMN analytics.forecast.elapsed_days IS 'Days that they stand for: themselves, and those before each of them on which nobody looked; NULL: there are none.';
COMMENT ON COLUMN analytics.forecast.intake_per_day IS 'Images that came new into batches, a day, less what was taken for new and was not; NULL: there are no observed days.';
COMMENT ON COLUMN analytics.forecast.intake_se IS 'Standard error of that rate; NULL: fewer than two observed days.';
COMMENT ON COLUMN analytics.forecast.assigned_per_day IS 'Images that left batches for jobs, less those that came back, a day; NULL: there are no observed days.';
COMMENT ON COLUMN analytics.forecast.assigned_se IS 'Standard error of that rate; NULL: fewer than two observed days.';
COMMENT ON COLUMN analytics.forecast.annotated_per_day IS 'Images annotated a day; NULL: the jobs were never read, or there are no observed days.';
COMMENT ON COLUMN analytics.forecast.annotated_se IS 'Standard error of that rate; NULL: fewer than two observed days, or the jobs were never read.';
COMMENT ON COLUMN analytics.forecast.net_per_day IS 'By how much what is left fell a day, as analytics.burn_down shows it: remaining or, of the basis assigned, the backlog. Work and what was removed let it fall, intake lets it grow; NULL: there are no observed days.';
COMMENT ON COLUMN analytics.forecast.net_se IS 'Standard error of that rate; NULL: fewer than two observed days.';
COMMENT ON COLUMN analytics.forecast.end_early IS 'Early end of the range (UTC), today at the earliest: one case in ten ends before it; NULL: not even so many end at this rate, or as for end_likely but that it does not end.';
COMMENT ON COLUMN analytics.forecast.end_likely IS 'Day on which nothing is left if the rate goes on, or on which that was seen; NULL: it does not end at this rate or within ten years, too few observed days, is_in_step is false, or the day is over and nobody has looked since.';
COMMENT ON COLUMN analytics.forecast.end_late IS 'Late end of the range: one case in ten ends after it; NULL: so many may never end, or not within ten years, or as for end_likely.';
COMMENT ON COLUMN analytics.forecast.last_observed_at IS 'Last trusted observation.';
COMMENT ON COLUMN analytics.forecast.jobs_observed_at IS 'Last trusted reading of the jobs, from which the basis annotated counts on; NULL: there was none yet.';
COMMENT ON COLUMN analytics.forecast.is_in_step IS 'Whether remaining adds up what belongs together: the last trusted reading of the jobs went with a trusted one of the batches, and no number of either has changed since; TRUE where no batch ever had a job; NULL: remaining is.';
