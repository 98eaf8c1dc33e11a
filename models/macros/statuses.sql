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
