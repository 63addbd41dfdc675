-- Ids of a project's batches, or jobs, that are not gone, in three disjoint sets. Grain: one row. Takes no lock.
{% set subject = examined[0] %}
SELECT
    array_agg({{ subject.key }}) FILTER (WHERE missing_since IS NULL AND unlisted_since IS NULL),
    array_agg({{ subject.key }}) FILTER (WHERE missing_since IS NOT NULL),
    array_agg({{ subject.key }}) FILTER (WHERE missing_since IS NULL AND unlisted_since IS NOT NULL)
FROM ledger.{{ subject.name }}
WHERE project_id = %(project_id)s
    AND gone_at IS NULL
