-- Find uneventful observations, and for each the one that it can be folded into: the last of its like.
-- The beginning of `prune_fold`, and of what is said of it beforehand. Grain: one observation. Takes no lock.
-- Alike are neighbours of one project and UTC day: unchanged ones that were not parsed and end no gap; failed
-- ones with the same kind of error; skipped ones with the same rule. What became of the jobs must be the same, and
-- nothing that was compared. Whatever else there is stands for itself,
-- and keeps those before it from those after it.
WITH
old AS (
    SELECT
        observation.observation_id,
        observation.run_id,
        observation.project_id,
        observation.observed_at,
        observation.previous_at,
        observation.jobs_previous_at,
        observation.span_from,
        observation.span_count,
        observation.requests,
        pg_column_size(observation.*) AS bytes,
        date_trunc('day', observation.observed_at, 'UTC') AS day,
        -- What another run held says nothing of the project, and comes between no neighbours.
        observation.verdict = 'skipped' AND observation.rule IS DISTINCT FROM 'stopped' AS is_held,
        CASE
            -- That a run died is told of the projects that it did not come to: it must be known which ones.
            WHEN run.ended_at IS NULL THEN NULL
            WHEN observation.jobs_changes IS NOT NULL THEN NULL
            WHEN observation.verdict = 'unchanged'
                AND observation.parse_ms IS NULL
                AND observation.gap_reasons IS NULL
                -- The jobs may have been read after midnight, and then are those of another day.
                THEN concat_ws(
                    ' ',
                    'unchanged',
                    observation.jobs_verdict,
                    observation.jobs_error_class,
                    date_trunc('day', observation.jobs_at, 'UTC')
                )
            WHEN observation.verdict = 'failed' THEN 'failed: ' || observation.error_class
            WHEN observation.verdict = 'skipped' THEN 'skipped: ' || coalesce(observation.rule, '')
        END AS kind
    FROM unnest(
        %(project_ids)s::integer[],
        %(from_ats)s::timestamptz[]
    ) AS slice (project_id, from_at)
    INNER JOIN ledger.observation
        ON observation.project_id = slice.project_id
        AND observation.observed_at >= slice.from_at
        AND observation.observed_at < %(until)s::timestamptz
    INNER JOIN ledger.run
        ON run.run_id = observation.run_id
),
-- Neighbours of one kind have the same distance between their place among all and among their kind.
placed AS (
    SELECT
        old.observation_id,
        old.run_id,
        old.project_id,
        old.observed_at,
        old.previous_at,
        old.jobs_previous_at,
        old.span_from,
        old.span_count,
        old.requests,
        old.bytes,
        old.day,
        old.is_held,
        old.kind,
        row_number() OVER (
            PARTITION BY old.project_id, old.day, old.is_held
            ORDER BY old.observed_at, old.observation_id
        ) - row_number() OVER (
            PARTITION BY old.project_id, old.day, old.is_held, old.kind
            ORDER BY old.observed_at, old.observation_id
        ) AS island
    FROM old
),
alike AS (
    SELECT
        placed.observation_id,
        placed.run_id,
        placed.observed_at,
        placed.previous_at,
        placed.jobs_previous_at,
        placed.span_from,
        placed.span_count,
        placed.requests,
        placed.bytes,
        first_value(placed.observation_id) OVER latest AS kept_id,
        first_value(placed.observed_at) OVER latest AS kept_at
    FROM placed
    WHERE placed.kind IS NOT NULL
    WINDOW latest AS (
        PARTITION BY placed.project_id, placed.day, placed.is_held, placed.kind, placed.island
        ORDER BY placed.observed_at DESC, placed.observation_id DESC
    )
),
-- Two hosts can skip a project in the same microsecond; a span of no length would say nothing.
folded AS (
    SELECT
        alike.observation_id,
        alike.run_id,
        alike.kept_id,
        alike.bytes
    FROM alike
    WHERE alike.observed_at < alike.kept_at
)
