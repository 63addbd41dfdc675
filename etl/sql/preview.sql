-- Say in numbers what an answer would change. Grain: one row. Takes no lock and writes nothing.
{% set subject = examined[0] %}
WITH
{% include "delta" %}
SELECT
    moved.entered,
    moved.changed,
    moved.renamed,
    moved.departed,
    moved.returned,
{% for column in subject.summed %}
    moved.{{ column.name }}_delta{{ "," if not loop.last }}
{% endfor %}
FROM {{ subject.name }}_moved AS moved
