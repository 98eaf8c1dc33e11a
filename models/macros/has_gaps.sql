{# Whether a row has a null where its contract allows none. #}
{% macro has_gaps(name) -%}
    {%- set gaps = ['false'] -%}
    {%- if execute -%}
        {%- for column in graph.nodes['model.doblecheck.' ~ name].columns.values() -%}
            {%- if column.constraints | selectattr('type', 'equalto', 'not_null') | list -%}
                {%- do gaps.append(column.name ~ ' is null') -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(gaps | join(' or ')) }}
{%- endmacro %}
