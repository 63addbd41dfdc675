-- What Superset sends for the dashboards of deploy/superset: when they are opened, when a workspace is chosen
-- in their filter of workspaces, and when a project is in that of projects; in their places are {workspace}
-- and {project}. Days are told from today. `make dashboards` compares this with what it sees, and writes it
-- anew if that is something else.

-- Freshness and trust: Age of the numbers
SELECT MAX(COALESCE(age_s, EXTRACT(EPOCH FROM NOW() - first_seen_at))) FILTER (WHERE is_tracked) / 3600 AS oldest_age_h
FROM analytics.project
LIMIT 50000;

-- Freshness and trust: Age of the numbers, of a project
SELECT MAX(COALESCE(age_s, EXTRACT(EPOCH FROM NOW() - first_seen_at))) FILTER (WHERE is_tracked) / 3600 AS oldest_age_h
FROM analytics.project
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Freshness and trust: Age of the numbers, of a workspace
SELECT MAX(COALESCE(age_s, EXTRACT(EPOCH FROM NOW() - first_seen_at))) FILTER (WHERE is_tracked) / 3600 AS oldest_age_h
FROM analytics.project
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Freshness and trust: Batches missing
SELECT COUNT(*) FILTER (WHERE missing_since IS NOT NULL AND gone_at IS NULL) AS missing
FROM analytics.batch
LIMIT 50000;

-- Freshness and trust: Batches missing, of a project
SELECT COUNT(*) FILTER (WHERE missing_since IS NOT NULL AND gone_at IS NULL) AS missing
FROM analytics.batch
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Freshness and trust: Batches missing, of a workspace
SELECT COUNT(*) FILTER (WHERE missing_since IS NOT NULL AND gone_at IS NULL) AS missing
FROM analytics.batch
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Freshness and trust: How old the numbers are
SELECT workspace || '/' || project AS project_path, last_observed_at AS last_observed_at, age_s / 3600 AS age_h, CASE WHEN jobs_verdict IS NOT NULL THEN jobs_age_s / 3600 END AS jobs_age_h, max_age_s / 3600.0 AS promise_h, CASE WHEN NOT is_kept THEN 'broken' WHEN NOT is_jobs_kept THEN 'broken for jobs' WHEN is_kept THEN 'kept' END AS promise, kept_1d AS kept_1d, kept_7d AS kept_7d, kept_30d AS kept_30d
FROM analytics.freshness ORDER BY age_s DESC
LIMIT 1000;

-- Freshness and trust: How old the numbers are, of a project
SELECT workspace || '/' || project AS project_path, last_observed_at AS last_observed_at, age_s / 3600 AS age_h, CASE WHEN jobs_verdict IS NOT NULL THEN jobs_age_s / 3600 END AS jobs_age_h, max_age_s / 3600.0 AS promise_h, CASE WHEN NOT is_kept THEN 'broken' WHEN NOT is_jobs_kept THEN 'broken for jobs' WHEN is_kept THEN 'kept' END AS promise, kept_1d AS kept_1d, kept_7d AS kept_7d, kept_30d AS kept_30d
FROM analytics.freshness
WHERE workspace || '/' || project IN ({project}) ORDER BY age_s DESC
LIMIT 1000;

-- Freshness and trust: How old the numbers are, of a workspace
SELECT workspace || '/' || project AS project_path, last_observed_at AS last_observed_at, age_s / 3600 AS age_h, CASE WHEN jobs_verdict IS NOT NULL THEN jobs_age_s / 3600 END AS jobs_age_h, max_age_s / 3600.0 AS promise_h, CASE WHEN NOT is_kept THEN 'broken' WHEN NOT is_jobs_kept THEN 'broken for jobs' WHEN is_kept THEN 'kept' END AS promise, kept_1d AS kept_1d, kept_7d AS kept_7d, kept_30d AS kept_30d
FROM analytics.freshness
WHERE workspace IN ({workspace}) ORDER BY age_s DESC
LIMIT 1000;

-- Freshness and trust: Last runs
SELECT run_id AS run_id, started_at AS started_at, trigger AS trigger, outcome AS outcome, changed AS changed, unchanged AS unchanged, suspect AS suspect, failed AS failed, skipped AS skipped, batch_changes AS batch_changes, requests AS requests, EXTRACT(EPOCH FROM ended_at - started_at) AS seconds
FROM analytics.run
WHERE started_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND started_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY run_id DESC
LIMIT 1000;

-- Freshness and trust: Last runs, of a project
SELECT run_id AS run_id, started_at AS started_at, trigger AS trigger, outcome AS outcome, changed AS changed, unchanged AS unchanged, suspect AS suspect, failed AS failed, skipped AS skipped, batch_changes AS batch_changes, requests AS requests, EXTRACT(EPOCH FROM ended_at - started_at) AS seconds
FROM analytics.run
WHERE started_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND started_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY run_id DESC
LIMIT 1000;

-- Freshness and trust: Last runs, of a workspace
SELECT run_id AS run_id, started_at AS started_at, trigger AS trigger, outcome AS outcome, changed AS changed, unchanged AS unchanged, suspect AS suspect, failed AS failed, skipped AS skipped, batch_changes AS batch_changes, requests AS requests, EXTRACT(EPOCH FROM ended_at - started_at) AS seconds
FROM analytics.run
WHERE started_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND started_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY run_id DESC
LIMIT 1000;

-- Freshness and trust: Milliseconds to fetch a project
SELECT DATE_TRUNC('day', observed_at) AS observed_at, percentile_cont(0.5) WITHIN GROUP (ORDER BY fetch_ms) AS fetch_ms_median, percentile_cont(0.95) WITHIN GROUP (ORDER BY fetch_ms) AS fetch_ms_p95
FROM analytics.observation
WHERE observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('day', observed_at) ORDER BY fetch_ms_median DESC
LIMIT 10000;

-- Freshness and trust: Milliseconds to fetch a project, of a project
SELECT DATE_TRUNC('day', observed_at) AS observed_at, percentile_cont(0.5) WITHIN GROUP (ORDER BY fetch_ms) AS fetch_ms_median, percentile_cont(0.95) WITHIN GROUP (ORDER BY fetch_ms) AS fetch_ms_p95
FROM analytics.observation
WHERE workspace || '/' || project IN ({project}) AND observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('day', observed_at) ORDER BY fetch_ms_median DESC
LIMIT 10000;

-- Freshness and trust: Milliseconds to fetch a project, of a workspace
SELECT DATE_TRUNC('day', observed_at) AS observed_at, percentile_cont(0.5) WITHIN GROUP (ORDER BY fetch_ms) AS fetch_ms_median, percentile_cont(0.95) WITHIN GROUP (ORDER BY fetch_ms) AS fetch_ms_p95
FROM analytics.observation
WHERE workspace IN ({workspace}) AND observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('day', observed_at) ORDER BY fetch_ms_median DESC
LIMIT 10000;

-- Freshness and trust: Not trusted
SELECT COUNT(*) FILTER (WHERE is_tracked AND (last_verdict IN ('suspect', 'failed') OR jobs_verdict IN ('suspect', 'failed'))) AS untrusted
FROM analytics.project
LIMIT 50000;

-- Freshness and trust: Not trusted, of a project
SELECT COUNT(*) FILTER (WHERE is_tracked AND (last_verdict IN ('suspect', 'failed') OR jobs_verdict IN ('suspect', 'failed'))) AS untrusted
FROM analytics.project
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Freshness and trust: Not trusted, of a workspace
SELECT COUNT(*) FILTER (WHERE is_tracked AND (last_verdict IN ('suspect', 'failed') OR jobs_verdict IN ('suspect', 'failed'))) AS untrusted
FROM analytics.project
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Freshness and trust: Open gaps
SELECT COUNT(*) FILTER (WHERE to_at IS NULL) AS open_gaps
FROM analytics.gap
LIMIT 50000;

-- Freshness and trust: Open gaps, of a project
SELECT COUNT(*) FILTER (WHERE to_at IS NULL) AS open_gaps
FROM analytics.gap
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Freshness and trust: Open gaps, of a workspace
SELECT COUNT(*) FILTER (WHERE to_at IS NULL) AS open_gaps
FROM analytics.gap
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Freshness and trust: Projects late
SELECT COUNT(*) FILTER (WHERE NOT is_kept OR NOT is_jobs_kept) AS late
FROM analytics.freshness
LIMIT 50000;

-- Freshness and trust: Projects late, of a project
SELECT COUNT(*) FILTER (WHERE NOT is_kept OR NOT is_jobs_kept) AS late
FROM analytics.freshness
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Freshness and trust: Projects late, of a workspace
SELECT COUNT(*) FILTER (WHERE NOT is_kept OR NOT is_jobs_kept) AS late
FROM analytics.freshness
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Freshness and trust: Promise kept
SELECT workspace || '/' || project AS project_path, AVG(kept_1d) AS share_kept_1d, AVG(kept_7d) AS share_kept_7d, AVG(kept_30d) AS share_kept_30d
FROM analytics.freshness GROUP BY workspace || '/' || project ORDER BY share_kept_1d DESC
LIMIT 10000;

-- Freshness and trust: Promise kept, of a project
SELECT workspace || '/' || project AS project_path, AVG(kept_1d) AS share_kept_1d, AVG(kept_7d) AS share_kept_7d, AVG(kept_30d) AS share_kept_30d
FROM analytics.freshness
WHERE workspace || '/' || project IN ({project}) GROUP BY workspace || '/' || project ORDER BY share_kept_1d DESC
LIMIT 10000;

-- Freshness and trust: Promise kept, of a workspace
SELECT workspace || '/' || project AS project_path, AVG(kept_1d) AS share_kept_1d, AVG(kept_7d) AS share_kept_7d, AVG(kept_30d) AS share_kept_30d
FROM analytics.freshness
WHERE workspace IN ({workspace}) GROUP BY workspace || '/' || project ORDER BY share_kept_1d DESC
LIMIT 10000;

-- Freshness and trust: Suspect and failed
SELECT observed_at AS observed_at, workspace || '/' || project AS project_path, verdict AS verdict, error AS error, jobs_verdict AS jobs_verdict, jobs_error AS jobs_error
FROM analytics.observation
WHERE observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND (((verdict IN ('suspect', 'failed') OR jobs_verdict IN ('suspect', 'failed')))) ORDER BY observed_at DESC
LIMIT 1000;

-- Freshness and trust: Suspect and failed, of a project
SELECT observed_at AS observed_at, workspace || '/' || project AS project_path, verdict AS verdict, error AS error, jobs_verdict AS jobs_verdict, jobs_error AS jobs_error
FROM analytics.observation
WHERE workspace || '/' || project IN ({project}) AND observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND (((verdict IN ('suspect', 'failed') OR jobs_verdict IN ('suspect', 'failed')))) ORDER BY observed_at DESC
LIMIT 1000;

-- Freshness and trust: Suspect and failed, of a workspace
SELECT observed_at AS observed_at, workspace || '/' || project AS project_path, verdict AS verdict, error AS error, jobs_verdict AS jobs_verdict, jobs_error AS jobs_error
FROM analytics.observation
WHERE workspace IN ({workspace}) AND observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND (((verdict IN ('suspect', 'failed') OR jobs_verdict IN ('suspect', 'failed')))) ORDER BY observed_at DESC
LIMIT 1000;

-- Freshness and trust: Verdicts per day
SELECT DATE_TRUNC('day', observed_at) AS observed_at, verdict AS verdict, SUM(span_count) AS observations
FROM analytics.observation
WHERE observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('day', observed_at), verdict ORDER BY observations DESC
LIMIT 10000;

-- Freshness and trust: Verdicts per day, of a project
SELECT DATE_TRUNC('day', observed_at) AS observed_at, verdict AS verdict, SUM(span_count) AS observations
FROM analytics.observation
WHERE workspace || '/' || project IN ({project}) AND observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('day', observed_at), verdict ORDER BY observations DESC
LIMIT 10000;

-- Freshness and trust: Verdicts per day, of a workspace
SELECT DATE_TRUNC('day', observed_at) AS observed_at, verdict AS verdict, SUM(span_count) AS observations
FROM analytics.observation
WHERE workspace IN ({workspace}) AND observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('day', observed_at), verdict ORDER BY observations DESC
LIMIT 10000;

-- Freshness and trust: When nobody knew
SELECT workspace || '/' || project AS project_path, from_at AS from_at, to_at AS to_at, EXTRACT(EPOCH FROM COALESCE(to_at, now()) - from_at) / 3600 AS hours, reason AS reason
FROM analytics.gap
WHERE from_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND from_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY from_at DESC
LIMIT 1000;

-- Freshness and trust: When nobody knew, of a project
SELECT workspace || '/' || project AS project_path, from_at AS from_at, to_at AS to_at, EXTRACT(EPOCH FROM COALESCE(to_at, now()) - from_at) / 3600 AS hours, reason AS reason
FROM analytics.gap
WHERE workspace || '/' || project IN ({project}) AND from_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND from_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY from_at DESC
LIMIT 1000;

-- Freshness and trust: When nobody knew, of a workspace
SELECT workspace || '/' || project AS project_path, from_at AS from_at, to_at AS to_at, EXTRACT(EPOCH FROM COALESCE(to_at, now()) - from_at) / 3600 AS hours, reason AS reason
FROM analytics.gap
WHERE workspace IN ({workspace}) AND from_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND from_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY from_at DESC
LIMIT 1000;

-- Freshness and trust: filter Project
SELECT workspace || '/' || project AS project_path
FROM analytics.project GROUP BY workspace || '/' || project ORDER BY workspace || '/' || project ASC
LIMIT 1000;

-- Freshness and trust: filter Project, of a workspace
SELECT workspace || '/' || project AS project_path
FROM analytics.project
WHERE workspace IN ({workspace}) GROUP BY workspace || '/' || project ORDER BY workspace || '/' || project ASC
LIMIT 1000;

-- Freshness and trust: filter Workspace
SELECT workspace AS workspace
FROM analytics.project GROUP BY workspace ORDER BY workspace ASC
LIMIT 1000;

-- Labelling pipeline: Age of the numbers
SELECT MAX(COALESCE(age_s, EXTRACT(EPOCH FROM NOW() - first_seen_at))) FILTER (WHERE is_tracked) / 3600 AS oldest_age_h
FROM analytics.project
LIMIT 50000;

-- Labelling pipeline: Age of the numbers, of a project
SELECT MAX(COALESCE(age_s, EXTRACT(EPOCH FROM NOW() - first_seen_at))) FILTER (WHERE is_tracked) / 3600 AS oldest_age_h
FROM analytics.project
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Labelling pipeline: Age of the numbers, of a workspace
SELECT MAX(COALESCE(age_s, EXTRACT(EPOCH FROM NOW() - first_seen_at))) FILTER (WHERE is_tracked) / 3600 AS oldest_age_h
FROM analytics.project
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Labelling pipeline: Annotated per week
SELECT week AS week, workspace || '/' || project AS project_path, SUM(annotated_work) AS annotated
FROM analytics.project_weekly
WHERE week >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND week < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY week, workspace || '/' || project ORDER BY annotated DESC
LIMIT 10000;

-- Labelling pipeline: Annotated per week, of a project
SELECT week AS week, workspace || '/' || project AS project_path, SUM(annotated_work) AS annotated
FROM analytics.project_weekly
WHERE workspace || '/' || project IN ({project}) AND week >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND week < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY week, workspace || '/' || project ORDER BY annotated DESC
LIMIT 10000;

-- Labelling pipeline: Annotated per week, of a workspace
SELECT week AS week, workspace || '/' || project AS project_path, SUM(annotated_work) AS annotated
FROM analytics.project_weekly
WHERE workspace IN ({workspace}) AND week >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND week < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY week, workspace || '/' || project ORDER BY annotated DESC
LIMIT 10000;

-- Labelling pipeline: Backlog by age of the upload
SELECT age_order || '. ' || age_bucket AS age, workspace || '/' || project AS project_path, SUM(images) AS images
FROM analytics.backlog_age GROUP BY age_order || '. ' || age_bucket, workspace || '/' || project ORDER BY images DESC
LIMIT 10000;

-- Labelling pipeline: Backlog by age of the upload, of a project
SELECT age_order || '. ' || age_bucket AS age, workspace || '/' || project AS project_path, SUM(images) AS images
FROM analytics.backlog_age
WHERE workspace || '/' || project IN ({project}) GROUP BY age_order || '. ' || age_bucket, workspace || '/' || project ORDER BY images DESC
LIMIT 10000;

-- Labelling pipeline: Backlog by age of the upload, of a workspace
SELECT age_order || '. ' || age_bucket AS age, workspace || '/' || project AS project_path, SUM(images) AS images
FROM analytics.backlog_age
WHERE workspace IN ({workspace}) GROUP BY age_order || '. ' || age_bucket, workspace || '/' || project ORDER BY images DESC
LIMIT 10000;

-- Labelling pipeline: Backlog by project, in images
SELECT DATE_TRUNC('day', day) AS day, workspace || '/' || project AS project_path, SUM(images) FILTER (WHERE is_observed) AS waiting
FROM analytics.project_daily
WHERE day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day), workspace || '/' || project ORDER BY waiting DESC
LIMIT 10000;

-- Labelling pipeline: Backlog by project, in images (2)
SELECT DATE_TRUNC('day', day) AS day, AVG((NOT is_observed)::integer) AS not_observed
FROM analytics.project_daily
WHERE day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY not_observed DESC
LIMIT 10000;

-- Labelling pipeline: Backlog by project, in images (2), of a project
SELECT DATE_TRUNC('day', day) AS day, AVG((NOT is_observed)::integer) AS not_observed
FROM analytics.project_daily
WHERE workspace || '/' || project IN ({project}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY not_observed DESC
LIMIT 10000;

-- Labelling pipeline: Backlog by project, in images (2), of a workspace
SELECT DATE_TRUNC('day', day) AS day, AVG((NOT is_observed)::integer) AS not_observed
FROM analytics.project_daily
WHERE workspace IN ({workspace}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY not_observed DESC
LIMIT 10000;

-- Labelling pipeline: Backlog by project, in images, of a project
SELECT DATE_TRUNC('day', day) AS day, workspace || '/' || project AS project_path, SUM(images) FILTER (WHERE is_observed) AS waiting
FROM analytics.project_daily
WHERE workspace || '/' || project IN ({project}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day), workspace || '/' || project ORDER BY waiting DESC
LIMIT 10000;

-- Labelling pipeline: Backlog by project, in images, of a workspace
SELECT DATE_TRUNC('day', day) AS day, workspace || '/' || project AS project_path, SUM(images) FILTER (WHERE is_observed) AS waiting
FROM analytics.project_daily
WHERE workspace IN ({workspace}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day), workspace || '/' || project ORDER BY waiting DESC
LIMIT 10000;

-- Labelling pipeline: Backlog now
SELECT SUM(images) AS backlog
FROM analytics.project
LIMIT 50000;

-- Labelling pipeline: Backlog now, of a project
SELECT SUM(images) AS backlog
FROM analytics.project
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Labelling pipeline: Backlog now, of a workspace
SELECT SUM(images) AS backlog
FROM analytics.project
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Labelling pipeline: Batches in progress
SELECT workspace || '/' || project AS project_path, name AS name, uploaded_at AS uploaded_at, size AS size, backlog AS backlog, share_assigned AS share_assigned, share_annotated AS share_annotated, share_approved AS share_approved, jobs_observed_at AS jobs_observed_at
FROM analytics.batch_progress
WHERE ((size > 0 AND NOT is_complete)) GROUP BY workspace || '/' || project, name, uploaded_at, size, backlog, share_assigned, share_annotated, share_approved, jobs_observed_at ORDER BY SUM(size) DESC
LIMIT 1000;

-- Labelling pipeline: Batches in progress, of a project
SELECT workspace || '/' || project AS project_path, name AS name, uploaded_at AS uploaded_at, size AS size, backlog AS backlog, share_assigned AS share_assigned, share_annotated AS share_annotated, share_approved AS share_approved, jobs_observed_at AS jobs_observed_at
FROM analytics.batch_progress
WHERE workspace || '/' || project IN ({project}) AND ((size > 0 AND NOT is_complete)) GROUP BY workspace || '/' || project, name, uploaded_at, size, backlog, share_assigned, share_annotated, share_approved, jobs_observed_at ORDER BY SUM(size) DESC
LIMIT 1000;

-- Labelling pipeline: Batches in progress, of a workspace
SELECT workspace || '/' || project AS project_path, name AS name, uploaded_at AS uploaded_at, size AS size, backlog AS backlog, share_assigned AS share_assigned, share_annotated AS share_annotated, share_approved AS share_approved, jobs_observed_at AS jobs_observed_at
FROM analytics.batch_progress
WHERE workspace IN ({workspace}) AND ((size > 0 AND NOT is_complete)) GROUP BY workspace || '/' || project, name, uploaded_at, size, backlog, share_assigned, share_annotated, share_approved, jobs_observed_at ORDER BY SUM(size) DESC
LIMIT 1000;

-- Labelling pipeline: Days from upload, by week of upload
SELECT DATE_TRUNC('week', uploaded_at) AS uploaded_at, percentile_cont(0.5) WITHIN GROUP (ORDER BY to_first_job_s) / 86400 AS to_first_job_days, percentile_cont(0.5) WITHIN GROUP (ORDER BY to_assigned_s) / 86400 AS to_assigned_days, percentile_cont(0.5) WITHIN GROUP (ORDER BY to_completed_s) / 86400 AS to_completed_days
FROM analytics.batch_lead_time
WHERE uploaded_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND uploaded_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('week', uploaded_at) ORDER BY to_first_job_days DESC
LIMIT 10000;

-- Labelling pipeline: Days from upload, by week of upload, of a project
SELECT DATE_TRUNC('week', uploaded_at) AS uploaded_at, percentile_cont(0.5) WITHIN GROUP (ORDER BY to_first_job_s) / 86400 AS to_first_job_days, percentile_cont(0.5) WITHIN GROUP (ORDER BY to_assigned_s) / 86400 AS to_assigned_days, percentile_cont(0.5) WITHIN GROUP (ORDER BY to_completed_s) / 86400 AS to_completed_days
FROM analytics.batch_lead_time
WHERE workspace || '/' || project IN ({project}) AND uploaded_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND uploaded_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('week', uploaded_at) ORDER BY to_first_job_days DESC
LIMIT 10000;

-- Labelling pipeline: Days from upload, by week of upload, of a workspace
SELECT DATE_TRUNC('week', uploaded_at) AS uploaded_at, percentile_cont(0.5) WITHIN GROUP (ORDER BY to_first_job_s) / 86400 AS to_first_job_days, percentile_cont(0.5) WITHIN GROUP (ORDER BY to_assigned_s) / 86400 AS to_assigned_days, percentile_cont(0.5) WITHIN GROUP (ORDER BY to_completed_s) / 86400 AS to_completed_days
FROM analytics.batch_lead_time
WHERE workspace IN ({workspace}) AND uploaded_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND uploaded_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('week', uploaded_at) ORDER BY to_first_job_days DESC
LIMIT 10000;

-- Labelling pipeline: Images left to annotate
SELECT DATE_TRUNC('day', day) AS day, workspace || '/' || project AS project_path, SUM(remaining) FILTER (WHERE is_jobs_observed) AS "left"
FROM analytics.burn_down
WHERE day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day), workspace || '/' || project ORDER BY "left" DESC
LIMIT 10000;

-- Labelling pipeline: Images left to annotate, of a project
SELECT DATE_TRUNC('day', day) AS day, workspace || '/' || project AS project_path, SUM(remaining) FILTER (WHERE is_jobs_observed) AS "left"
FROM analytics.burn_down
WHERE workspace || '/' || project IN ({project}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day), workspace || '/' || project ORDER BY "left" DESC
LIMIT 10000;

-- Labelling pipeline: Images left to annotate, of a workspace
SELECT DATE_TRUNC('day', day) AS day, workspace || '/' || project AS project_path, SUM(remaining) FILTER (WHERE is_jobs_observed) AS "left"
FROM analytics.burn_down
WHERE workspace IN ({workspace}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day), workspace || '/' || project ORDER BY "left" DESC
LIMIT 10000;

-- Labelling pipeline: Images new, assigned and annotated per day
SELECT DATE_TRUNC('day', day) AS day, SUM(intake) AS "new", SUM(assigned) AS assigned, SUM(annotated_work) AS annotated
FROM analytics.project_daily
WHERE day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY "new" DESC
LIMIT 10000;

-- Labelling pipeline: Images new, assigned and annotated per day (2)
SELECT DATE_TRUNC('day', day) AS day, AVG((NOT is_observed)::integer) AS not_observed
FROM analytics.project_daily
WHERE day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY not_observed DESC
LIMIT 10000;

-- Labelling pipeline: Images new, assigned and annotated per day (2), of a project
SELECT DATE_TRUNC('day', day) AS day, AVG((NOT is_observed)::integer) AS not_observed
FROM analytics.project_daily
WHERE workspace || '/' || project IN ({project}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY not_observed DESC
LIMIT 10000;

-- Labelling pipeline: Images new, assigned and annotated per day (2), of a workspace
SELECT DATE_TRUNC('day', day) AS day, AVG((NOT is_observed)::integer) AS not_observed
FROM analytics.project_daily
WHERE workspace IN ({workspace}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY not_observed DESC
LIMIT 10000;

-- Labelling pipeline: Images new, assigned and annotated per day, of a project
SELECT DATE_TRUNC('day', day) AS day, SUM(intake) AS "new", SUM(assigned) AS assigned, SUM(annotated_work) AS annotated
FROM analytics.project_daily
WHERE workspace || '/' || project IN ({project}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY "new" DESC
LIMIT 10000;

-- Labelling pipeline: Images new, assigned and annotated per day, of a workspace
SELECT DATE_TRUNC('day', day) AS day, SUM(intake) AS "new", SUM(assigned) AS assigned, SUM(annotated_work) AS annotated
FROM analytics.project_daily
WHERE workspace IN ({workspace}) AND day >= TO_DATE('{today-89}', 'YYYY-MM-DD') AND day < TO_DATE('{today+2}', 'YYYY-MM-DD') GROUP BY DATE_TRUNC('day', day) ORDER BY "new" DESC
LIMIT 10000;

-- Labelling pipeline: Images that likely moved between batches
SELECT observed_at AS observed_at, workspace || '/' || project AS project_path, kind AS kind, from_name AS from_name, to_name AS to_name, images AS images, likelihood AS likelihood
FROM analytics.batch_move
WHERE observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY observed_at DESC
LIMIT 1000;

-- Labelling pipeline: Images that likely moved between batches, of a project
SELECT observed_at AS observed_at, workspace || '/' || project AS project_path, kind AS kind, from_name AS from_name, to_name AS to_name, images AS images, likelihood AS likelihood
FROM analytics.batch_move
WHERE workspace || '/' || project IN ({project}) AND observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY observed_at DESC
LIMIT 1000;

-- Labelling pipeline: Images that likely moved between batches, of a workspace
SELECT observed_at AS observed_at, workspace || '/' || project AS project_path, kind AS kind, from_name AS from_name, to_name AS to_name, images AS images, likelihood AS likelihood
FROM analytics.batch_move
WHERE workspace IN ({workspace}) AND observed_at >= TO_TIMESTAMP('{today-89} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND observed_at < TO_TIMESTAMP('{today+2} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') ORDER BY observed_at DESC
LIMIT 1000;

-- Labelling pipeline: Left to annotate
SELECT SUM(images + COALESCE(job_images - annotated, 0)) AS remaining
FROM analytics.project
LIMIT 50000;

-- Labelling pipeline: Left to annotate, of a project
SELECT SUM(images + COALESCE(job_images - annotated, 0)) AS remaining
FROM analytics.project
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Labelling pipeline: Left to annotate, of a workspace
SELECT SUM(images + COALESCE(job_images - annotated, 0)) AS remaining
FROM analytics.project
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Labelling pipeline: Oldest batches that nobody has begun
SELECT workspace || '/' || project AS project_path, name AS name, uploaded_at AS uploaded_at, age_s / 86400 AS age_days, images AS images, last_observed_at AS last_observed_at
FROM analytics.backlog
WHERE ((is_untouched)) ORDER BY age_s DESC
LIMIT 1000;

-- Labelling pipeline: Oldest batches that nobody has begun, of a project
SELECT workspace || '/' || project AS project_path, name AS name, uploaded_at AS uploaded_at, age_s / 86400 AS age_days, images AS images, last_observed_at AS last_observed_at
FROM analytics.backlog
WHERE workspace || '/' || project IN ({project}) AND ((is_untouched)) ORDER BY age_s DESC
LIMIT 1000;

-- Labelling pipeline: Oldest batches that nobody has begun, of a workspace
SELECT workspace || '/' || project AS project_path, name AS name, uploaded_at AS uploaded_at, age_s / 86400 AS age_days, images AS images, last_observed_at AS last_observed_at
FROM analytics.backlog
WHERE workspace IN ({workspace}) AND ((is_untouched)) ORDER BY age_s DESC
LIMIT 1000;

-- Labelling pipeline: Oldest untouched
SELECT MAX(age_s) FILTER (WHERE is_untouched) / 86400 AS oldest_untouched_days
FROM analytics.backlog
LIMIT 50000;

-- Labelling pipeline: Oldest untouched, of a project
SELECT MAX(age_s) FILTER (WHERE is_untouched) / 86400 AS oldest_untouched_days
FROM analytics.backlog
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Labelling pipeline: Oldest untouched, of a workspace
SELECT MAX(age_s) FILTER (WHERE is_untouched) / 86400 AS oldest_untouched_days
FROM analytics.backlog
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Labelling pipeline: Projects late
SELECT COUNT(*) FILTER (WHERE NOT is_kept OR NOT is_jobs_kept) AS late
FROM analytics.freshness
LIMIT 50000;

-- Labelling pipeline: Projects late, of a project
SELECT COUNT(*) FILTER (WHERE NOT is_kept OR NOT is_jobs_kept) AS late
FROM analytics.freshness
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Labelling pipeline: Projects late, of a workspace
SELECT COUNT(*) FILTER (WHERE NOT is_kept OR NOT is_jobs_kept) AS late
FROM analytics.freshness
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Labelling pipeline: Standing still
SELECT COUNT(*) FILTER (WHERE is_stalled) AS stalled
FROM analytics.stalled
LIMIT 50000;

-- Labelling pipeline: Standing still for seven days or more
SELECT workspace || '/' || project AS project_path, kind AS kind, name AS name, images AS images, since AS since, idle_s / 86400 AS idle_days, last_observed_at AS last_observed_at
FROM analytics.stalled
WHERE ((is_stalled)) ORDER BY idle_s DESC
LIMIT 1000;

-- Labelling pipeline: Standing still for seven days or more, of a project
SELECT workspace || '/' || project AS project_path, kind AS kind, name AS name, images AS images, since AS since, idle_s / 86400 AS idle_days, last_observed_at AS last_observed_at
FROM analytics.stalled
WHERE workspace || '/' || project IN ({project}) AND ((is_stalled)) ORDER BY idle_s DESC
LIMIT 1000;

-- Labelling pipeline: Standing still for seven days or more, of a workspace
SELECT workspace || '/' || project AS project_path, kind AS kind, name AS name, images AS images, since AS since, idle_s / 86400 AS idle_days, last_observed_at AS last_observed_at
FROM analytics.stalled
WHERE workspace IN ({workspace}) AND ((is_stalled)) ORDER BY idle_s DESC
LIMIT 1000;

-- Labelling pipeline: Standing still, of a project
SELECT COUNT(*) FILTER (WHERE is_stalled) AS stalled
FROM analytics.stalled
WHERE workspace || '/' || project IN ({project})
LIMIT 50000;

-- Labelling pipeline: Standing still, of a workspace
SELECT COUNT(*) FILTER (WHERE is_stalled) AS stalled
FROM analytics.stalled
WHERE workspace IN ({workspace})
LIMIT 50000;

-- Labelling pipeline: When it will be done, if it goes on like this
SELECT workspace || '/' || project AS project_path, COALESCE(remaining, backlog) AS to_do, basis AS basis, intake_per_day AS intake_per_day, CASE basis WHEN 'annotated' THEN annotated_per_day ELSE assigned_per_day END AS per_day, net_per_day AS net_per_day, end_early AS end_early, end_likely AS end_likely, end_late AS end_late, observed_days AS observed_days, last_observed_at AS last_observed_at
FROM analytics.forecast GROUP BY workspace || '/' || project, COALESCE(remaining, backlog), basis, intake_per_day, CASE basis WHEN 'annotated' THEN annotated_per_day ELSE assigned_per_day END, net_per_day, end_early, end_likely, end_late, observed_days, last_observed_at ORDER BY SUM(COALESCE(remaining, backlog)) DESC
LIMIT 1000;

-- Labelling pipeline: When it will be done, if it goes on like this, of a project
SELECT workspace || '/' || project AS project_path, COALESCE(remaining, backlog) AS to_do, basis AS basis, intake_per_day AS intake_per_day, CASE basis WHEN 'annotated' THEN annotated_per_day ELSE assigned_per_day END AS per_day, net_per_day AS net_per_day, end_early AS end_early, end_likely AS end_likely, end_late AS end_late, observed_days AS observed_days, last_observed_at AS last_observed_at
FROM analytics.forecast
WHERE workspace || '/' || project IN ({project}) GROUP BY workspace || '/' || project, COALESCE(remaining, backlog), basis, intake_per_day, CASE basis WHEN 'annotated' THEN annotated_per_day ELSE assigned_per_day END, net_per_day, end_early, end_likely, end_late, observed_days, last_observed_at ORDER BY SUM(COALESCE(remaining, backlog)) DESC
LIMIT 1000;

-- Labelling pipeline: When it will be done, if it goes on like this, of a workspace
SELECT workspace || '/' || project AS project_path, COALESCE(remaining, backlog) AS to_do, basis AS basis, intake_per_day AS intake_per_day, CASE basis WHEN 'annotated' THEN annotated_per_day ELSE assigned_per_day END AS per_day, net_per_day AS net_per_day, end_early AS end_early, end_likely AS end_likely, end_late AS end_late, observed_days AS observed_days, last_observed_at AS last_observed_at
FROM analytics.forecast
WHERE workspace IN ({workspace}) GROUP BY workspace || '/' || project, COALESCE(remaining, backlog), basis, intake_per_day, CASE basis WHEN 'annotated' THEN annotated_per_day ELSE assigned_per_day END, net_per_day, end_early, end_likely, end_late, observed_days, last_observed_at ORDER BY SUM(COALESCE(remaining, backlog)) DESC
LIMIT 1000;

-- Labelling pipeline: filter Project
SELECT workspace || '/' || project AS project_path
FROM analytics.project GROUP BY workspace || '/' || project ORDER BY workspace || '/' || project ASC
LIMIT 1000;

-- Labelling pipeline: filter Project, of a workspace
SELECT workspace || '/' || project AS project_path
FROM analytics.project
WHERE workspace IN ({workspace}) GROUP BY workspace || '/' || project ORDER BY workspace || '/' || project ASC
LIMIT 1000;

-- Labelling pipeline: filter Workspace
SELECT workspace AS workspace
FROM analytics.project GROUP BY workspace ORDER BY workspace ASC
LIMIT 1000;
