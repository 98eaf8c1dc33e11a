{# Open seconds on the business clock at an instant; null where the clock has no segment. #}
{% macro clock_reading(segment, instant) -%}
    ({{ segment }}.open_seconds + case
        when {{ segment }}.is_open then {{ seconds_between(segment ~ '.starts_at', instant) }} else 0
    end)
{%- endmacro %}


{# The columns of a relation and the seconds between two of them, by the calendar and in business hours. #}
{% macro with_elapsed(relation, earlier, later) -%}
    select
        {{ relation }}.*,
        {{ seconds_between(relation ~ '.' ~ earlier, relation ~ '.' ~ later) }} as elapsed_seconds,
        {{ clock_reading('clock_at_end', relation ~ '.' ~ later) }}
        - {{ clock_reading('clock_at_start', relation ~ '.' ~ earlier) }} as business_elapsed_seconds
    from {{ relation }}
    left join {{ source('intermediate', 'business_clock') }} as clock_at_start
        on {{ is_on_clock(relation, earlier, 'clock_at_start') }}
    left join {{ source('intermediate', 'business_clock') }} as clock_at_end
        on {{ is_on_clock(relation, later, 'clock_at_end') }}
{%- endmacro %}


{# The join of an instant to the stretch of its policy's clock that it is in. #}
{% macro is_on_clock(relation, instant, segment) -%}
    {{ relation }}.policy = {{ segment }}.policy
    and {{ utc_day(relation ~ '.' ~ instant) }} = {{ segment }}.utc_day
    and {{ relation }}.{{ instant }} >= {{ segment }}.starts_at
    and {{ relation }}.{{ instant }} < {{ segment }}.ends_at
{%- endmacro %}
