-- What is to be said of a stretch of time between two trusted observations of a project, or from the last one until
-- now. Asked by the statement that writes the second one, and by whoever asks for the gap that is still open.
-- PL/pgSQL keeps its plans for the life of a connection; a function in SQL would plan anew in each statement.
CREATE FUNCTION ledger.stretch(of_project integer, from_at timestamptz, to_at timestamptz)
RETURNS TABLE (
    gap_reasons text[],
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
    promised_s integer;
BEGIN
    -- Before the first observation a project was due from the moment on at which it became known.
    SELECT
        coalesce(stretch.from_at, project.first_seen_at - INTERVAL '1 microsecond'),
        project.max_age_s
    INTO since, promised_s
    FROM ledger.project
    WHERE project.project_id = stretch.of_project;

    SELECT array_agg(cause.reason ORDER BY cause.first_at, cause.reason)
    INTO gap_reasons
    FROM (
        SELECT
            caused.reason,
            min(caused.caused_at) AS first_at
        FROM (
            SELECT
                observation.verdict || ': ' || coalesce(observation.error_class, observation.rule) AS reason,
                coalesce(observation.span_from, observation.observed_at) AS caused_at
            FROM ledger.observation
            WHERE observation.project_id = stretch.of_project
                AND observation.verdict IN ('failed', 'suspect', 'skipped')
                AND observation.observed_at > since
                AND observation.observed_at < stretch.to_at
                -- What another run held is told by what became of it there.
                AND (observation.verdict <> 'skipped' OR observation.rule = 'stopped')
            UNION ALL
            SELECT
                CASE tick.reason WHEN 'down' THEN 'daemon not running' ELSE tick.reason END,
                tick.scheduled_at
            FROM ledger.tick
            WHERE tick.scheduled_at > since
                AND tick.scheduled_at < stretch.to_at
            UNION ALL
            SELECT
                'run died',
                run.started_at
            FROM ledger.run
            WHERE run.ended_at IS NULL
                AND run.started_at > since
                AND run.started_at < stretch.to_at
                AND run.leased_until <= clock_timestamp()
                -- Of one that was asked for named projects nobody knows which ones.
                AND run.is_whole IS DISTINCT FROM FALSE
                AND NOT EXISTS (
                    SELECT FROM ledger.observation
                    WHERE observation.run_id = run.run_id
                        AND observation.project_id = stretch.of_project
                )
            UNION ALL
            SELECT
                'project paused',
                greatest(pause.from_at, since)
            FROM ledger.pause
            WHERE pause.project_id = stretch.of_project
                AND pause.from_at < stretch.to_at
                AND coalesce(pause.to_at, 'infinity') > since
        ) AS caused
        GROUP BY caused.reason
    ) AS cause;

    -- Nothing is promised of a paused project, and the promise begins anew when it is followed again: of the pieces
    -- between pauses the longest counts.
    SELECT max(extract(EPOCH FROM piece.ends_at - piece.begins_at)) - promised_s
    INTO late_s
    FROM (
        SELECT
            begun.at AS begins_at,
            least(stretch.to_at, min(pause.from_at)) AS ends_at
        FROM (
            SELECT since AS at
            UNION ALL
            SELECT pause.to_at
            FROM ledger.pause
            WHERE pause.project_id = stretch.of_project
                AND pause.to_at > since
                AND pause.to_at < stretch.to_at
        ) AS begun
        LEFT JOIN ledger.pause
            ON pause.project_id = stretch.of_project
            AND coalesce(pause.to_at, 'infinity') > begun.at
        GROUP BY begun.at
    ) AS piece;

    IF late_s > 0 THEN
        gap_reasons := coalesce(gap_reasons, ARRAY['no run']);
    ELSE
        late_s := NULL;
    END IF;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION ledger.stretch(integer, timestamptz, timestamptz) IS 'What is to be said of a stretch of time without a trusted observation of a project: why it is a gap, by time (NULL: it is none), and how many seconds it is longer than promised (NULL: it is not, or nothing is promised). from_at NULL: since the project became known.';
