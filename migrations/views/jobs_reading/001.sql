-- How the annotation jobs of a project were read the last time, and how late they are. Asked by the views that say how
-- fresh numbers are, in PL/pgSQL for the reason of ledger.stretch.
CREATE FUNCTION ledger.jobs_reading(of_project integer)
RETURNS TABLE (
    observed_at timestamptz,
    verdict text,
    error text,
    late_s double precision
)
LANGUAGE plpgsql
STABLE
-- The views that call it are for whoever may read them.
SECURITY DEFINER
PARALLEL SAFE
ROWS 1
SET search_path = pg_catalog
AS $$
DECLARE
    since timestamptz;
BEGIN
    SELECT observation.jobs_at
    INTO observed_at
    FROM ledger.observation
    WHERE observation.project_id = jobs_reading.of_project
        AND observation.jobs_verdict IN ('changed', 'unchanged')
    ORDER BY observation.jobs_at DESC
    LIMIT 1;

    -- The last observation that read the batches went on to the jobs, if they are to be read at all.
    SELECT
        observation.jobs_verdict,
        coalesce(observation.jobs_error, observation.jobs_rule)
    INTO
        verdict,
        error
    FROM ledger.observation
    WHERE observation.project_id = jobs_reading.of_project
        AND observation.verdict IN ('changed', 'unchanged', 'suspect')
    ORDER BY observation.observed_at DESC
    LIMIT 1;

    IF verdict IS NOT NULL THEN
        -- Before the first trusted answer they are due from the moment on at which they were first asked for.
        since := coalesce(
            jobs_reading.observed_at,
            (
                SELECT coalesce(observation.span_from, observation.observed_at)
                FROM ledger.observation
                WHERE observation.project_id = jobs_reading.of_project
                    AND observation.jobs_verdict IN ('failed', 'suspect')
                ORDER BY observation.observed_at
                LIMIT 1
            )
        );

        SELECT stretch.late_s
        INTO late_s
        FROM ledger.project
        CROSS JOIN LATERAL ledger.stretch(project.project_id, since, now()) AS stretch
        WHERE project.project_id = jobs_reading.of_project
            -- No part of it is longer than the whole: what is fresh need not be looked at.
            AND since < now() - make_interval(secs => project.max_age_s);
    END IF;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION ledger.jobs_reading(integer) IS 'How the annotation jobs of a project were read the last time: the last trusted reading of them (observed_at; NULL: there was none), how the last attempt ended (verdict; NULL: they are not to be read), what was wrong with it (error; NULL: nothing), and how many seconds longer than promised none was trusted (late_s; NULL: it is not longer, nothing is promised, or they are not to be read).';
