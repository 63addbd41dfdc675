-- The totals of the projects, the runs, and the numbers that the next rows get.
UPDATE ledger.project SET
    batches = total.batches,
    images = total.images,
    num_jobs = total.num_jobs,
    jobs = total.jobs,
    job_images = total.job_images,
    annotated = total.annotated,
    approved = total.approved,
    rejected = total.rejected
FROM total
WHERE total.project_id = project.project_id;

INSERT INTO ledger.run (
    run_id, trigger, started_at, leased_until, ended_at, outcome, changed, unchanged, suspect, failed, skipped,
    batch_changes, requests, host, version, is_whole
)
OVERRIDING SYSTEM VALUE
SELECT
    slot.slot + 1,
    'schedule',
    %(start)s::timestamptz + make_interval(secs => slot.slot * 3600 - 5),
    %(start)s::timestamptz + make_interval(secs => slot.slot * 3600 + 2700),
    %(start)s::timestamptz + make_interval(secs => slot.slot * 3600 + 2400),
    CASE WHEN coalesce(counted.failed, 0) > 0 THEN 'partial' ELSE 'completed' END,
    coalesce(counted.changed, 0),
    %(projects)s - coalesce(counted.changed, 0) - coalesce(counted.failed, 0),
    0,
    coalesce(counted.failed, 0),
    0,
    coalesce(counted.batch_changes, 0),
    2 * %(projects)s,
    'benchmark',
    'benchmark',
    TRUE
FROM generate_series(0, %(slots)s - 1) AS slot (slot)
LEFT JOIN (
    SELECT
        slot,
        sum(changed) AS changed,
        sum(failed) AS failed,
        sum(batch_changes) AS batch_changes
    FROM counted
    GROUP BY slot
) AS counted
    ON counted.slot = slot.slot
WHERE slot.slot / 24 NOT BETWEEN %(outage_from)s AND %(outage_to)s;

SELECT setval(pg_get_serial_sequence('ledger.project', 'project_id'), %(projects)s);

SELECT setval(pg_get_serial_sequence('ledger.run', 'run_id'), %(slots)s);

SELECT setval(pg_get_serial_sequence('ledger.observation', 'observation_id'), %(slots)s * %(projects)s::bigint);
