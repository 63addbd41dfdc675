-- The projects, without totals yet, and the ticks of the outage.
INSERT INTO ledger.project (
    project_id, workspace, project, name, type, is_tracked, first_seen_at, batches, images, num_jobs,
    is_settled, max_age_s, jobs_since, jobs_settled
)
OVERRIDING SYSTEM VALUE
SELECT
    project_id,
    format('workspace-%%s', lpad(((project_id - 1) / 100 + 1)::text, 3, '0')),
    format('project-%%s', lpad(((project_id - 1) %% 100 + 1)::text, 3, '0')),
    format('Project %%s', project_id),
    'object-detection',
    TRUE,
    read_at(0, project_id) - INTERVAL '1 second',
    0,
    0,
    0,
    TRUE,
    10800,
    read_at(0, project_id) + INTERVAL '1 second',
    TRUE
FROM generate_series(1, %(projects)s) AS project (project_id);

INSERT INTO ledger.tick (scheduled_at, reason, recorded_at, host)
SELECT
    %(start)s::timestamptz + make_interval(hours => slot),
    'down',
    %(start)s::timestamptz + make_interval(hours => (%(outage_to)s + 1) * 24),
    'benchmark'
FROM generate_series(%(outage_from)s * 24, %(outage_to)s * 24 + 23) AS tick (slot);
