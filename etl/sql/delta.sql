{# The beginning of `apply` and of `preview`, which say what becomes of it: one for batches, one for jobs. #}
{% set name, key, p = subject.name, subject.key, subject.prefix %}
{% set at, previous_at = "%(" ~ subject.at ~ ")s::timestamptz", "%(" ~ subject.previous_at ~ ")s::timestamptz" %}
-- What the answer shows, and what look-ups found that it leaves out. Grain of this and of what follows until
-- {{ name }}_moved: one {{ name }}.
{{ name }}_answered AS (
{% for shown, is_listed in (("shown", "TRUE"), ("found", "FALSE")) %}
    SELECT
        record.{{ key }},
{% for column in subject.names %}
        record.{{ column }},
{% endfor %}
        record.extra::jsonb AS extra,
        {{ is_listed }} AS is_listed
    FROM json_to_recordset(%({{ p }}{{ shown }})s::json) AS record (
        {{ key }} text COLLATE "C",
{% for column in subject.columns %}
        {{ column.name }} {{ column.type }},
{% endfor %}
        extra text
    )
{% if not loop.last %}
    UNION ALL
{% endif %}
{% endfor %}
),
-- One that the answer shows, where anything differs from what is believed.
{{ name }}_shown AS (
    SELECT
        now.{{ key }},
        CASE
            WHEN was.{{ key }} IS NULL THEN 'entered'
            WHEN was.gone_at IS NOT NULL THEN 'returned'
            WHEN (now.{{ subject.compared | join(", now.") }})
                IS DISTINCT FROM (was.{{ subject.compared | join(", was.") }}) THEN 'changed'
            WHEN now.name IS DISTINCT FROM was.name THEN 'renamed'
        END AS kind,
{% for column in subject.names %}
        now.{{ column }},
{% endfor %}
        now.extra,
{% for column in subject.summed %}
        coalesce(now.{{ column.name }}, 0) - coalesce(was.{{ column.name }}, 0) AS {{ column.name }}_delta,
{% endfor %}
        -- The last moment at which the state before is known: the last observation that read its values.
        greatest(
            CASE
                WHEN was.gone_at IS NOT NULL THEN {{ previous_at }}
                WHEN was.unlisted_since IS NOT NULL THEN was.unlisted_since
                WHEN was.carried_since IS NULL THEN coalesce(was.present_at, {{ previous_at }})
            END,
            was.changed_at
        ) AS changed_after,
        NULL::timestamptz AS missing_since,
        NULL::timestamptz AS present_at,
        CASE
            WHEN NOT now.is_listed THEN coalesce(was.unlisted_since, {{ at }})
        END AS unlisted_since,
        NULL::timestamptz AS carried_since,
        NULL::timestamptz AS gone_at
    FROM {{ name }}_answered AS now
    LEFT JOIN ledger.{{ name }} AS was
        ON was.project_id = %(project_id)s
        AND was.{{ key }} = now.{{ key }}
    WHERE was.{{ key }} IS NULL
        OR was.missing_since IS NOT NULL
        OR was.carried_since IS NOT NULL
        OR (was.unlisted_since IS NULL) <> now.is_listed
        OR (now.{{ subject.names | join(", now.") }}, now.extra)
            IS DISTINCT FROM (was.{{ subject.names | join(", was.") }}, was.extra)
),
-- Those that the answer does not show, or shows without usable values. None is named twice.
{{ name }}_unshown AS (
{% for named, is_gone, is_missing in (("gone", "TRUE", "FALSE"), ("missing", "FALSE", "TRUE"), ("present_only", "FALSE", "FALSE")) %}
    SELECT
        {{ key }} COLLATE "C" AS {{ key }},
        {{ is_gone }} AS is_gone,
        {{ is_missing }} AS is_missing
    FROM unnest(%({{ p }}{{ named }})s::text[]) AS named ({{ key }})
{% if not loop.last %}
    UNION ALL
{% endif %}
{% endfor %}
),
-- What is believed of them. Each is looked up by its key, and the LIMIT keeps the planner to that: whatever it
-- compares with a list instead, or joins by a guess of ten names, takes the square of their number.
{{ name }}_believed AS (
    SELECT
        was.{{ key }},
{% for column in subject.names %}
        was.{{ column }},
{% endfor %}
        was.extra,
        unshown.is_gone,
        unshown.is_missing,
        was.missing_since,
        -- The last observation that saw it: a list that leaves it out did not.
        coalesce(
            was.present_at,
            greatest(coalesce(was.unlisted_since, {{ previous_at }}), was.changed_at)
        ) AS present_at,
        was.changed_at,
        was.unlisted_since,
        was.carried_since
    FROM {{ name }}_unshown AS unshown
    CROSS JOIN LATERAL (
        SELECT
            one.{{ key }},
{% for column in subject.names %}
            one.{{ column }},
{% endfor %}
            one.extra,
            one.missing_since,
            one.present_at,
            one.changed_at,
            one.unlisted_since,
            one.carried_since,
            one.gone_at
        FROM ledger.{{ name }} AS one
        WHERE one.project_id = %(project_id)s
            AND one.{{ key }} = unshown.{{ key }}
        LIMIT 1
    ) AS was
    WHERE was.gone_at IS NULL
),
-- Gone: nothing of it counts any more. Missing: it still counts, and waits to be confirmed. Else: carried on.
{{ name }}_absent AS (
    SELECT
        {{ key }},
        CASE WHEN is_gone THEN 'left' END AS kind,
{% for column in subject.columns %}
{% if column.is_counted %}
        CASE WHEN is_gone THEN 0 ELSE {{ column.name }} END AS {{ column.name }},
{% else %}
        {{ column.name }},
{% endif %}
{% endfor %}
        extra,
{% for column in subject.summed %}
        CASE WHEN is_gone THEN -coalesce({{ column.name }}, 0) ELSE 0 END AS {{ column.name }}_delta,
{% endfor %}
        -- Who saw it without usable values does not know its state before.
        CASE
            WHEN is_gone AND carried_since IS NOT NULL THEN changed_at
            WHEN is_gone THEN present_at
        END AS changed_after,
        CASE WHEN is_gone OR is_missing THEN coalesce(missing_since, {{ at }}) END AS missing_since,
        CASE WHEN is_gone OR is_missing THEN present_at END AS present_at,
        CASE WHEN is_missing THEN unlisted_since END AS unlisted_since,
        CASE
            WHEN is_missing THEN carried_since
            WHEN NOT is_gone THEN coalesce(carried_since, missing_since, {{ at }})
        END AS carried_since,
        CASE WHEN is_gone THEN {{ at }} END AS gone_at
    FROM {{ name }}_believed
    WHERE is_gone
        OR (is_missing AND missing_since IS NULL)
        OR (NOT is_missing AND (carried_since IS NULL OR missing_since IS NOT NULL OR unlisted_since IS NOT NULL))
),
-- All that is believed anew: of which anything differs; kind is NULL where history has nothing to tell (one newly
-- missing, a field that we do not know).
{{ name }}_delta AS (
{% for part in ("shown", "absent") %}
    SELECT
        {{ key }},
        kind,
{% for column in subject.names %}
        {{ column }},
{% endfor %}
        extra,
{% for column in subject.summed %}
        {{ column.name }}_delta,
{% endfor %}
        changed_after,
        missing_since,
        present_at,
        unlisted_since,
        carried_since,
        gone_at
    FROM {{ name }}_{{ part }}
{% if not loop.last %}
    UNION ALL
{% endif %}
{% endfor %}
),
-- The same in numbers. Grain: one row.
{{ name }}_moved AS (
    SELECT
        count(*) FILTER (WHERE kind = 'entered') AS entered,
        count(*) FILTER (WHERE kind = 'changed') AS changed,
        count(*) FILTER (WHERE kind = 'renamed') AS renamed,
        count(*) FILTER (WHERE kind = 'left') AS departed,
        count(*) FILTER (WHERE kind = 'returned') AS returned,
{% for column in subject.summed %}
        coalesce(sum({{ column.name }}_delta), 0) AS {{ column.name }}_delta,
{% endfor %}
        count(kind) AS changes
    FROM {{ name }}_delta
)
