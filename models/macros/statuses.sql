{# How far a status is: read implies delivered implies sent. Failed and unknown ones have no rank. #}
{% macro status_rank(status) -%}
    case
        when {{ status }} in ('pending', 'queued', 'accepted') then 0
        when {{ status }} in ('sent', 'received') then 1
        when {{ status }} = 'delivered' then 2
        when {{ status }} = 'read' then 3
        when {{ status }} = 'played' then 4
    end
{%- endmacro %}


{# History imports say "error" for "failed". #}
{% macro is_failure(status) -%}
    coalesce({{ status }} in ('failed', 'error'), false)
{%- endmacro %}


{#
    Aggregate: of a group's statuses the one that counts. Failed is further than sent, and not as far
    as delivered; of unknown ones the first.
#}
{% macro furthest_status(status, position) -%}
    (
        array_agg(
            {{ status }}
            order by
                case when {{ is_failure(status) }} then 1.5 else {{ status_rank(status) }} end desc nulls last,
                {{ position }}
        ) filter (where {{ status }} is not null)
    )[1]
{%- endmacro %}
