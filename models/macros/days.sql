{# The join of a row to its channel's policies: an unknown channel has some too. #}
{% macro same_channel(relation, policies) -%}
    {{ relation }}.provider = {{ policies }}.provider
    and {{ relation }}.account = {{ policies }}.account
    and {{ relation }}.channel_key is not distinct from {{ policies }}.channel_key
{%- endmacro %}


{#
    Channels with their policies and a number each: half a million rows are put in order by a number in
    half the time that three texts take.
#}
{% macro numbered_channels() -%}
    select
        *,
        row_number() over (order by provider, account, channel_key) as channel_number
    from {{ ref('int_channels__policies') }}
{%- endmacro %}


{# The day of an instant on the wall calendar of a zone. #}
{% macro local_day(zone, instant) -%}
    cast({{ local_time(zone, instant) }} as date)
{%- endmacro %}


{# Seconds of a wait: 0 when the two instants are the wrong way round, null when one is missing. #}
{% macro wait_between(earlier, later) -%}
    case
        when {{ later }} >= {{ earlier }} then {{ seconds_between(earlier, later) }}
        when {{ later }} < {{ earlier }} then 0
    end
{%- endmacro %}


{# A share with its own numerator and denominator; null when there is nothing to divide by. #}
{% macro share_of(numerator, denominator) -%}
    cast({{ numerator }} as double precision) / nullif({{ denominator }}, 0)
{%- endmacro %}


{# The agent of what nobody is known to have sent: a row of its own, so that parts add up. #}
{% macro unattributed(relation) -%}
    {{ relation }}.provider || ':' || {{ relation }}.account || ':unattributed'
{%- endmacro %}
