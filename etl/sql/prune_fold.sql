-- Fold like observations into the last of them; goes on from `prune_alike`. Grain: one row, which says how many
-- were folded away and their bytes. Locks those rows, which no run touches any more.
,
spans AS (
    SELECT
        alike.kept_id,
        min(coalesce(alike.span_from, alike.observed_at)) AS span_from,
        sum(coalesce(alike.span_count, 1)) AS span_count,
        sum(alike.requests) AS requests,
        -- All of them follow one another, so the first one's is that before the span.
        (array_agg(alike.previous_at ORDER BY alike.observed_at, alike.observation_id))[1] AS previous_at,
        (array_agg(alike.jobs_previous_at ORDER BY alike.observed_at, alike.observation_id))[1] AS jobs_previous_at
    FROM alike
    WHERE alike.observed_at < alike.kept_at
        OR alike.observation_id = alike.kept_id
    GROUP BY alike.kept_id
    HAVING count(*) > 1
),
kept AS (
    UPDATE ledger.observation SET
        span_from = spans.span_from,
        span_count = spans.span_count,
        requests = spans.requests,
        previous_at = spans.previous_at,
        jobs_previous_at = spans.jobs_previous_at
    FROM spans
    WHERE observation.observation_id = spans.kept_id
),
dropped AS (
    DELETE FROM ledger.observation
    USING folded
    WHERE observation.observation_id = folded.observation_id
)
SELECT
    count(*),
    coalesce(sum(folded.bytes), 0)
FROM folded
