{# The rate card's word for a category; the others are priced by its default row. #}
{% macro pricing_category(category) -%}
    case
        when {{ category }} like '%marketing%' then 'marketing'
        when {{ category }} like '%utility%' then 'utility'
        when {{ category }} like '%authentication%' then 'authentication'
        when {{ category }} like '%service%' then 'service'
        else {{ category }}
    end
{%- endmacro %}
