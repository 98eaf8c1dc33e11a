{# Who a raw identifier is: some phones arrive as a business-scoped user id. #}

{% macro phone_in(text) -%}
    case when not {{ matches(text, '^[A-Z]{2}[.]') }} then {{ clean(text) }} end
{%- endmacro %}


{% macro bsuid_in(text) -%}
    case when {{ matches(text, '^[A-Z]{2}[.]') }} then {{ clean(text) }} end
{%- endmacro %}


{# One text for all that a row says about its customer: the key of the identity look-up. #}
{% macro identity_key(relation) -%}
    {{ relation }}.provider || ':' || {{ relation }}.account
    || ':' || coalesce({{ relation }}.contact_id, '')
    || ':' || coalesce({{ relation }}.bsuid, '')
    || ':' || coalesce({{ relation }}.phone, '')
{%- endmacro %}


{# Whether a row leaves open who the customer is. #}
{% macro names_nobody(relation) -%}
    coalesce({{ relation }}.contact_id, {{ relation }}.phone, {{ relation }}.bsuid) is null
{%- endmacro %}


{# The same staging model of every room, under one another. #}
{% macro union_rooms(model) -%}
    {%- for provider in var('providers') -%}
        {{ '    union all\n    ' if not loop.first }}select * from {{ ref('stg_' ~ provider ~ '__' ~ model) }}
    {% endfor %}
{%- endmacro %}


{# A key of the marts; null when the id is. #}
{% macro mart_key(relation, id) -%}
    {{ relation }}.provider || ':' || {{ relation }}.account || ':' || {{ relation }}.{{ id }}
{%- endmacro %}
