CREATE VIEW analytics.schema_revision AS
SELECT alembic_version.version_num AS revision
FROM ledger.alembic_version;

COMMENT ON VIEW analytics.schema_revision IS 'The one revision that the schema is at, so that who only reads can tell whether program and schema fit.';
COMMENT ON COLUMN analytics.schema_revision.revision IS 'Name of the last migration, such as 0006_answer_questions.';
