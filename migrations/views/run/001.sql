CREATE VIEW analytics.run AS
SELECT
    run.run_id,
    run.trigger,
    run.host,
    run.version,
    run.started_at,
    run.ended_at,
    run.outcome,
    run.ended_at IS NULL AND run.leased_until > now() AS is_running,
    run.is_whole,
    run.changed,
    run.unchanged,
    run.suspect,
    run.failed,
    run.skipped,
    run.batch_changes,
    run.requests
FROM ledger.run;

COMMENT ON VIEW analytics.run IS 'One run: one pass over the projects that were due.';
COMMENT ON COLUMN analytics.run.run_id IS 'Number of the run; rises with time.';
COMMENT ON COLUMN analytics.run.trigger IS 'What started it: sync (a command), schedule (the daemon), confirm (an operator), demo.';
COMMENT ON COLUMN analytics.run.host IS 'Name of the machine that it ran on.';
COMMENT ON COLUMN analytics.run.version IS 'Version of batchledger that ran it.';
COMMENT ON COLUMN analytics.run.started_at IS 'When it began.';
COMMENT ON COLUMN analytics.run.ended_at IS 'When it ended; NULL while it runs, and for ever if it died.';
COMMENT ON COLUMN analytics.run.outcome IS 'completed (every project trusted), partial (some failed, suspect or skipped), stopped (asked to stop), deadline (out of time); NULL as for ended_at.';
COMMENT ON COLUMN analytics.run.is_running IS 'Whether it is still at work; if it is not, and has not ended, it died.';
COMMENT ON COLUMN analytics.run.is_whole IS 'Whether it was asked for every project and not for named ones; NULL: it was not noted.';
COMMENT ON COLUMN analytics.run.changed IS 'Projects whose verdict was changed; NULL until it ended.';
COMMENT ON COLUMN analytics.run.unchanged IS 'Projects whose verdict was unchanged; NULL until it ended.';
COMMENT ON COLUMN analytics.run.suspect IS 'Projects whose verdict was suspect; NULL until it ended.';
COMMENT ON COLUMN analytics.run.failed IS 'Projects whose verdict was failed; NULL until it ended.';
COMMENT ON COLUMN analytics.run.skipped IS 'Projects whose verdict was skipped; NULL until it ended.';
COMMENT ON COLUMN analytics.run.batch_changes IS 'Rows of history of batches that it appended; NULL until it ended.';
COMMENT ON COLUMN analytics.run.requests IS 'HTTP requests that it sent, repeated ones included; NULL until it ended.';
