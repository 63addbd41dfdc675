-- Give a replay the project as it stood after an observation that showed all that was believed, by its history; or
-- without one as it stood before the first. Grain: one project, each of its batches, each day on which it changed.
-- Writes only the schema of the replay.
WITH
past AS (
    SELECT
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
        (batch_change.observed_at AT TIME ZONE 'UTC')::date AS day
    FROM ledger.batch_change
    WHERE batch_change.project_id = %(project_id)s
        AND batch_change.observation_id <= %(base)s
),
-- Of a batch that is still gone, the history does not tell everything. One that has returned is new in all of it.
stood AS (
    SELECT DISTINCT ON (past.batch_id)
        past.batch_id,
        past.name,
        past.images,
        past.num_jobs,
        past.uploaded_at,
        min(past.observed_at) OVER (PARTITION BY past.batch_id) AS first_seen_at,
        past.observed_at AS changed_at,
        CASE WHEN past.kind = 'left' THEN coalesce(gone.missing_since, past.observed_at) END AS missing_since,
        CASE WHEN past.kind = 'left' THEN coalesce(gone.present_at, past.changed_after) END AS present_at,
        CASE WHEN past.kind = 'left' THEN past.observed_at END AS gone_at,
        coalesce(gone.extra, shown.extra::jsonb) AS extra
    FROM past
    LEFT JOIN ledger.batch AS gone
        ON past.kind = 'left'
        AND gone.project_id = %(project_id)s
        AND gone.batch_id = past.batch_id
        AND gone.gone_at = past.observed_at
    LEFT JOIN json_to_recordset(%(shown)s::json) AS shown (
        batch_id text COLLATE "C",
        extra text
    )
        ON past.kind <> 'left'
        AND shown.batch_id = past.batch_id
    ORDER BY
        past.batch_id,
        past.observation_id DESC
),
days AS (
    SELECT
        past.day,
        count(*) FILTER (WHERE past.kind IN ('entered', 'returned')) AS entered,
        count(*) FILTER (WHERE past.kind = 'left') AS departed,
        sum(past.images_delta) AS images_delta,
        sum(past.num_jobs_delta) AS num_jobs_delta
    FROM past
    GROUP BY past.day
),
batches AS (
    INSERT INTO ledger_replay.batch (
        project_id,
        batch_id,
        name,
        images,
        num_jobs,
        uploaded_at,
        first_seen_at,
        changed_at,
        missing_since,
        present_at,
        gone_at,
        extra
    )
    SELECT
        %(project_id)s,
        stood.batch_id,
        stood.name,
        stood.images,
        stood.num_jobs,
        stood.uploaded_at,
        stood.first_seen_at,
        stood.changed_at,
        stood.missing_since,
        stood.present_at,
        stood.gone_at,
        stood.extra
    FROM stood
),
project_days AS (
    INSERT INTO ledger_replay.project_day (
        project_id,
        day,
        batches,
        images,
        num_jobs,
        images_delta,
        num_jobs_delta,
        batches_entered,
        batches_left
    )
    SELECT
        %(project_id)s,
        days.day,
        sum(days.entered - days.departed) OVER until_then,
        sum(days.images_delta) OVER until_then,
        sum(days.num_jobs_delta) OVER until_then,
        days.images_delta,
        days.num_jobs_delta,
        days.entered,
        days.departed
    FROM days
    WINDOW until_then AS (ORDER BY days.day)
)
INSERT INTO ledger_replay.project (
    project_id,
    workspace,
    project,
    is_tracked,
    first_seen_at,
    batches,
    images,
    num_jobs,
    digest,
    is_settled
)
OVERRIDING SYSTEM VALUE
SELECT
    project.project_id,
    project.workspace,
    project.project,
    project.is_tracked,
    project.first_seen_at,
    count(stood.batch_id) FILTER (WHERE stood.gone_at IS NULL),
    coalesce(sum(stood.images), 0),
    coalesce(sum(stood.num_jobs), 0),
    %(digest)s::bytea,
    CASE WHEN %(base)s::bigint IS NOT NULL THEN TRUE END
FROM ledger.project
LEFT JOIN stood
    ON TRUE
WHERE project.project_id = %(project_id)s
GROUP BY project.project_id
