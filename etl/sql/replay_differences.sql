-- Compare what is live with what was replayed, row by row; goes on from both, which are `replayed` in two schemas.
-- Grain: one table with rows that differ, with their number and the first of them, and the observation that this
-- one goes back to; the first of all comes first. Takes no lock.
,
differing AS (
    SELECT
        coalesce(live.place, replayed.place) AS place,
        coalesce(live.key, replayed.key) AS key,
        -- A batch or job may have been left as it was on either side, and where they part is not before the other one.
        CASE
            WHEN live.place IN ('batch', 'job') THEN greatest(replayed.at, live.at)
            ELSE coalesce(replayed.at, live.at)
        END AS at,
        live.doc AS live,
        replayed.doc AS replayed
    FROM live
    FULL JOIN replayed
        ON replayed.place = live.place
        AND replayed.key = live.key
    WHERE live.doc IS DISTINCT FROM replayed.doc
        -- Prune drops the rejects of an observation, all of them or none.
        AND (
            coalesce(live.place, replayed.place) <> 'reject'
            OR EXISTS (
                SELECT FROM live AS kept
                WHERE kept.place = 'reject'
                    AND kept.at = coalesce(replayed.at, live.at)
            )
        )
),
first_differing AS (
    SELECT DISTINCT ON (differing.place)
        differing.place,
        differing.key,
        differing.at,
        differing.live,
        differing.replayed,
        count(*) OVER (PARTITION BY differing.place) AS count
    FROM differing
    ORDER BY
        differing.place,
        differing.at,
        differing.key
)
SELECT
    first_differing.place,
    first_differing.key,
    first_differing.live::text AS live,
    first_differing.replayed::text AS replayed,
    first_differing.count,
    seen.observation_id
FROM first_differing
LEFT JOIN LATERAL (
    SELECT observation.observation_id
    FROM ledger.observation
    WHERE observation.project_id = %(project_id)s
        AND observation.observed_at <= first_differing.at
        AND (
            observation.parse_ms IS NOT NULL
            OR observation.verdict IN ('changed', 'suspect')
            OR observation.jobs_changes IS NOT NULL
        )
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS seen
    ON TRUE
ORDER BY
    first_differing.at,
    array_position(
        ARRAY['observation', 'reject', 'batch_change', 'job_change', 'batch', 'job', 'project_day', 'project'],
        first_differing.place
    )
