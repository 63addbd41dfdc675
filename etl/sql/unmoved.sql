{# Stands for `delta` where an answer is the last trusted one again, or none was asked for. #}
{{ subject.name }}_moved AS (
    SELECT
        0::bigint AS entered,
        0::bigint AS changed,
        0::bigint AS renamed,
        0::bigint AS departed,
        0::bigint AS returned,
{% for column in subject.summed %}
        0::bigint AS {{ column.name }}_delta,
{% endfor %}
        0::bigint AS changes
)
