{# Goes on from the delta of a subject, and from `held` and `observed`: its history, its rows, and the evidence. #}
{% set name, key, p = subject.name, subject.key, subject.prefix %}
{% set at = "%(" ~ subject.at ~ ")s::timestamptz" %}
{{ name }}_history AS (
    INSERT INTO ledger.{{ name }}_change (
        project_id,
        {{ key }},
        observation_id,
        kind,
{% for column in subject.names %}
        {{ column }},
{% endfor %}
{% for column in subject.summed %}
        {{ column.name }}_delta,
{% endfor %}
        observed_at,
        changed_after
    )
    SELECT
        %(project_id)s,
        delta.{{ key }},
        observed.observation_id,
        delta.kind,
{% for column in subject.names %}
        delta.{{ column }},
{% endfor %}
{% for column in subject.summed %}
        delta.{{ column.name }}_delta,
{% endfor %}
        {{ at }},
        delta.changed_after
    FROM {{ name }}_delta AS delta
    CROSS JOIN observed
    WHERE delta.kind IS NOT NULL
    ORDER BY delta.{{ key }}
),
{{ name }}_updated AS (
    UPDATE ledger.{{ name }} SET
{% for column in subject.names %}
        {{ column }} = delta.{{ column }},
{% endfor %}
        changed_at = CASE WHEN delta.kind IS NULL THEN {{ name }}.changed_at ELSE {{ at }} END,
        missing_since = delta.missing_since,
        present_at = delta.present_at,
        unlisted_since = delta.unlisted_since,
        carried_since = delta.carried_since,
        gone_at = delta.gone_at,
        extra = delta.extra
    FROM {{ name }}_delta AS delta
    CROSS JOIN held
    WHERE {{ name }}.project_id = held.project_id
        AND {{ name }}.{{ key }} = delta.{{ key }}
        AND delta.kind IS DISTINCT FROM 'entered'
),
{{ name }}_inserted AS (
    INSERT INTO ledger.{{ name }} (
        project_id,
        {{ key }},
{% for column in subject.names %}
        {{ column }},
{% endfor %}
        first_seen_at,
        changed_at,
        unlisted_since,
        extra
    )
    SELECT
        held.project_id,
        delta.{{ key }},
{% for column in subject.names %}
        delta.{{ column }},
{% endfor %}
        {{ at }},
        {{ at }},
        delta.unlisted_since,
        delta.extra
    FROM {{ name }}_delta AS delta
    CROSS JOIN held
    WHERE delta.kind = 'entered'
    ORDER BY delta.{{ key }}
),
{{ name }}_asked AS (
    INSERT INTO ledger.look_up (
        observation_id,
        subject,
        record_id,
        outcome,
        digest
    )
    SELECT
        observed.observation_id,
        '{{ name }}',
        look_up.record_id,
        look_up.outcome,
        look_up.digest
    FROM observed
    CROSS JOIN unnest(
        %({{ p }}look_up_record_ids)s::text[],
        %({{ p }}look_up_outcomes)s::text[],
        %({{ p }}look_up_digests)s::bytea[]
    ) AS look_up (record_id, outcome, digest)
),
{{ name }}_rejected AS (
    INSERT INTO ledger.reject (
        observation_id,
        subject,
        position,
        record_id,
        reason,
        raw
    )
    SELECT
        observed.observation_id,
        '{{ name }}',
        record.position,
        record.record_id,
        record.reason,
        record.raw
    FROM observed
    CROSS JOIN unnest(
        %({{ p }}reject_positions)s::integer[],
        %({{ p }}reject_record_ids)s::text[],
        %({{ p }}reject_reasons)s::text[],
        %({{ p }}reject_raws)s::text[]
    ) AS record (position, record_id, reason, raw)
)
