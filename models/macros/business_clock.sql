{# Open seconds on the business clock at an instant; null where the clock has no segment. #}
{% macro clock_reading(segment, instant) -%}
    ({{ segment }}.open_seconds + case
        when {{ segment }}.is_open then {{ seconds_between(segment ~ '.starts_at', instant) }} else 0
    end)
{%- endmacro %}
