-- Set up who may do what: the owner of the schemas migrates, the writer reads and writes rows, the reader sees
-- schema analytics. Run it as the owner, after a migration; it may be run again. `migrate --roles` does so, and
-- puts other names for the two roles where they are given.
BEGIN;

-- The lock of a migration.
SELECT pg_catalog.pg_advisory_xact_lock(7089075258760389746);
SET LOCAL search_path = pg_catalog;
SET LOCAL lock_timeout = '10s';

-- A role that exists is used as it is, so that an administrator can make both for an owner who may not.
DO $roles$
BEGIN
    IF to_regrole('"batchledger_writer"') IS NULL THEN
        CREATE ROLE "batchledger_writer" NOLOGIN;
    END IF;
    IF to_regrole('"batchledger_reader"') IS NULL THEN
        CREATE ROLE "batchledger_reader" NOLOGIN;
    END IF;
END
$roles$;

-- Nothing is left of what was granted before, so that a grant by hand does not outlive its reason.
REVOKE ALL ON SCHEMA ledger, analytics FROM PUBLIC, "batchledger_writer", "batchledger_reader";
REVOKE ALL ON ALL TABLES IN SCHEMA ledger, analytics FROM PUBLIC, "batchledger_writer", "batchledger_reader";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA ledger FROM PUBLIC, "batchledger_writer", "batchledger_reader";
-- Functions of analytics read the private tables for whoever may call them, and by default all may.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger, analytics
    FROM PUBLIC, "batchledger_writer", "batchledger_reader";

GRANT USAGE ON SCHEMA analytics TO "batchledger_writer", "batchledger_reader";
GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO "batchledger_writer", "batchledger_reader";
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analytics TO "batchledger_writer", "batchledger_reader";

-- Views of analytics may call functions of ledger. Nobody but the writer can name one: that takes the schema.
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger TO "batchledger_writer", "batchledger_reader";

GRANT USAGE ON SCHEMA ledger TO "batchledger_writer";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ledger TO "batchledger_writer";
-- Only a migration moves the revision, and nobody rewrites history or forgets what it is about.
REVOKE INSERT, UPDATE, DELETE ON ledger.alembic_version FROM "batchledger_writer";
REVOKE UPDATE, DELETE ON ledger.batch_change FROM "batchledger_writer";
REVOKE UPDATE, DELETE ON ledger.job_change FROM "batchledger_writer";
-- To forget people is no change of what happened.
GRANT UPDATE (name, status, labeler, reviewer) ON ledger.job_change TO "batchledger_writer";
REVOKE DELETE ON ledger.batch, ledger.job, ledger.project, ledger.project_day FROM "batchledger_writer";

-- The same for what later migrations make.
DO $roles$
DECLARE
    ledger_of CONSTANT text := 'ALTER DEFAULT PRIVILEGES FOR ROLE '
        || (SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'ledger') || ' IN SCHEMA ledger';
    analytics_of CONSTANT text := 'ALTER DEFAULT PRIVILEGES FOR ROLE '
        || (SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'analytics') || ' IN SCHEMA analytics';
BEGIN
    EXECUTE ledger_of || ' GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "batchledger_writer"';
    EXECUTE ledger_of || ' GRANT EXECUTE ON FUNCTIONS TO "batchledger_writer", "batchledger_reader"';
    EXECUTE analytics_of || ' GRANT SELECT ON TABLES TO "batchledger_writer", "batchledger_reader"';
    EXECUTE analytics_of || ' GRANT EXECUTE ON FUNCTIONS TO "batchledger_writer", "batchledger_reader"';
END
$roles$;

COMMIT;
