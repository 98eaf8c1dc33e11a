{#
    What DuckDB and PostgreSQL say differently: one macro each.

    Raw columns are text from an API that may change without notice, so each cast gives null for
    what it can't read and never fails.
#}

{# Text without blanks around it; empty is missing. #}
{% macro clean(text) -%}
    nullif(trim({{ text }}), '')
{%- endmacro %}


{% macro lowered(text) -%}
    lower(nullif(trim({{ text }}), ''))
{%- endmacro %}


{% macro to_integer(text) -%}
    case when {{ matches(text, '^-?[0-9]{1,18}$') }} then cast({{ text }} as bigint) end
{%- endmacro %}


{% macro to_number(text) -%}
    case
        when {{ matches(text, '^-?[0-9]{1,15}([.][0-9]+)?$') }}
            then cast({{ text }} as double precision)
    end
{%- endmacro %}


{% macro to_boolean(text) -%}
    case lower(trim({{ text }})) when 'true' then true when 'false' then false end
{%- endmacro %}


{#
    An ISO 8601 instant with Z or an offset and 0 to 6 fraction digits; without a zone it is UTC.
    "infinity" and "now" are instants to a database, not to a provider.
#}
{% macro to_instant(text) -%}
    {{ return(adapter.dispatch('to_instant')(text)) }}
{%- endmacro %}

{% macro default__to_instant(text) -%}
    case when {{ matches(text, '^[0-9]{4}-') }} then try_cast({{ text }} as timestamptz) end
{%- endmacro %}

{% macro postgres__to_instant(text) -%}
    case
        when {{ matches(text, '^[0-9]{4}-') }} and staging.can_be({{ text }}, 'timestamptz')
            then cast({{ text }} as timestamptz)
    end
{%- endmacro %}


{# Unix seconds, or ISO 8601. More than 11 digits would be a date no message can have. #}
{% macro to_message_time(text) -%}
    case
        when {{ matches(text, '^[0-9]{1,11}$') }}
            then to_timestamp({{ to_integer(text) }})
        else {{ to_instant(text) }}
    end
{%- endmacro %}


{% macro matches(text, pattern) -%}
    {{ return(adapter.dispatch('matches')(text, pattern)) }}
{%- endmacro %}

{% macro default__matches(text, pattern) -%}
    regexp_matches({{ text }}, '{{ pattern }}')
{%- endmacro %}

{% macro postgres__matches(text, pattern) -%}
    {{ text }} ~ '{{ pattern }}'
{%- endmacro %}


{% macro digits(text) -%}
    nullif(regexp_replace({{ text }}, '[^0-9]', '', 'g'), '')
{%- endmacro %}


{# A JSON value from text that may be no JSON at all. #}
{% macro to_json(text) -%}
    {{ return(adapter.dispatch('to_json')(text)) }}
{%- endmacro %}

{% macro default__to_json(text) -%}
    try_cast({{ text }} as json)
{%- endmacro %}

{% macro postgres__to_json(text) -%}
    {%- set storable = "replace(" ~ text ~ ", '\\u0000', '\\ufffd')" -%}
    case when staging.can_be({{ storable }}, 'jsonb') then cast({{ storable }} as jsonb) end
{%- endmacro %}


{# The text at a path of keys (or positions) in a JSON value. #}
{% macro json_text(json, path) -%}
    {{ return(adapter.dispatch('json_text')(json, path)) }}
{%- endmacro %}

{% macro default__json_text(json, path) -%}
    nullif(json_extract_string({{ json }}, '$
    {%- for step in path %}{{ '[' ~ step ~ ']' if step is number else '.' ~ step }}{% endfor %}'), '')
{%- endmacro %}

{% macro postgres__json_text(json, path) -%}
    nullif({{ json }} #>> '{{ '{' ~ path | join(',') ~ '}' }}', '')
{%- endmacro %}


{# One row per element of a JSON array: the columns in `keep`, then the element as `element`. #}
{% macro json_elements(relation, json, keep) -%}
    {{ return(adapter.dispatch('json_elements')(relation, json, keep)) }}
{%- endmacro %}

{% macro default__json_elements(relation, json, keep) -%}
    select
        {{ keep | join(', ') }},
        unnest(cast({{ to_json(json) }} as json [])) as element
    from {{ relation }}
    where {{ json }} like '[%'
{%- endmacro %}

{% macro postgres__json_elements(relation, json, keep) -%}
    select
        {{ keep | join(', ') }},
        elements.element
    from {{ relation }}
    cross join lateral jsonb_array_elements(
        case when {{ json }} like '[%' then {{ to_json(json) }} end
    ) as elements (element)
{%- endmacro %}


{# Seconds from one instant to another, with fractions; negative when they are the wrong way round. #}
{% macro seconds_between(earlier, later) -%}
    {{ return(adapter.dispatch('seconds_between')(earlier, later)) }}
{%- endmacro %}

{% macro default__seconds_between(earlier, later) -%}
    (epoch_us({{ later }}) - epoch_us({{ earlier }})) / 1000000.0
{%- endmacro %}

{% macro postgres__seconds_between(earlier, later) -%}
    cast(extract(epoch from {{ later }} - {{ earlier }}) as double precision)
{%- endmacro %}


{# Text in the order of its bytes, whatever the database's language: ties break alike everywhere. #}
{% macro bytewise(text) -%}
    {{ return(adapter.dispatch('bytewise')(text)) }}
{%- endmacro %}

{% macro default__bytewise(text) -%}
    {{ text }}
{%- endmacro %}

{% macro postgres__bytewise(text) -%}
    {{ text }} collate "C"
{%- endmacro %}


{# The wall-clock time of an instant in a named zone. #}
{% macro local_time(zone, instant) -%}
    timezone({{ zone }}, {{ instant }})
{%- endmacro %}


{% macro utc_day(instant) -%}
    cast(timezone('UTC', {{ instant }}) as date)
{%- endmacro %}


{# Aggregate: the first of a group's values, in an order, that is not null. #}
{% macro first_known(column, position) -%}
    {{ return(adapter.dispatch('first_known')(column, position)) }}
{%- endmacro %}

{% macro default__first_known(column, position) -%}
    arg_min({{ column }}, {{ position }})
{%- endmacro %}

{% macro postgres__first_known(column, position) -%}
    (array_agg({{ column }} order by {{ position }}) filter (where {{ column }} is not null))[1]
{%- endmacro %}
