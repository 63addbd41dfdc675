-- The two temporary tables of an apply: what the answer shows, and how it differs from what was believed.
-- Made once a connection, emptied by every commit; made inside the transaction so that a pooler in transaction
-- mode is no obstacle.
CREATE TEMPORARY TABLE IF NOT EXISTS snapshot (
    batch_id text COLLATE "C" NOT NULL,
    name text,
    images integer NOT NULL,
    num_jobs integer,
    uploaded_at timestamptz,
    extra text,
    is_listed boolean NOT NULL
) ON COMMIT DELETE ROWS;

CREATE TEMPORARY TABLE IF NOT EXISTS delta (
    batch_id text COLLATE "C" NOT NULL,
    kind text,
    name text,
    images integer NOT NULL,
    num_jobs integer,
    uploaded_at timestamptz,
    extra jsonb,
    images_delta integer NOT NULL,
    num_jobs_delta integer NOT NULL,
    changed_after timestamptz,
    missing_since timestamptz,
    present_at timestamptz,
    unlisted_since timestamptz,
    carried_since timestamptz,
    gone_at timestamptz
) ON COMMIT DELETE ROWS
