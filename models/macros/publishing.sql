{#
    What readers on PostgreSQL have to be shown: notes for `pipelines/warehouse/postgres_publishing.py`,
    which does to `marts` what a build did to `marts_next`. On DuckDB a publication is a copy.
#}

{# Hook of every model: a mart was made as a whole. #}
{% macro made_whole() -%}
    {% if is_shown_later() and not replaces_rows() %}
        insert into intermediate.to_publish (mart, is_anew)
        values ('{{ this.identifier }}', {{ builds_everything() }})
    {% endif %}
{%- endmacro %}


{# Hook: the rows of touched things are about to be replaced. Followed by another statement. #}
{% macro will_replace(column, kind) -%}
    {% if is_shown_later() %}
        insert into intermediate.to_publish (mart, key_column, key)
        select
            '{{ this.identifier }}',
            '{{ column }}',
            touched.key
        from {{ source('intermediate', 'touched') }} as touched
        where touched.kind = '{{ kind }}';
    {% endif %}
{%- endmacro %}


{% macro is_shown_later() -%}
    {{ return(target.type == 'postgres' and this.schema == 'marts_next') }}
{%- endmacro %}


{#
    How a mart is kept whose columns depend on the build's clock: as a view over incremental tables.
    On PostgreSQL, whose readers may not see a build at work, as a table: a build replaces the rows of
    touched threads and those that the clock still moves (`moves`; all of them when it went back),
    and adds what is not there.
#}
{% macro of_the_clock(key, moves) -%}
    {% if target.type == 'postgres' %}
        {{ config(
            materialized='incremental',
            incremental_strategy='append',
            on_schema_change='fail',
            pre_hook='{{ forget_what_moves("' ~ key ~ '", "' ~ moves ~ '") }}',
            post_hook='{{ note_what_came("' ~ key ~ '") }}',
            tags=['clock'],
            indexes=[{'columns': ['thread_key']}],
        ) }}
    {% else %}
        {{ config(materialized='view') }}
    {% endif %}
{%- endmacro %}


{% macro forget_what_moves(key, moves) -%}
    {% if replaces_rows() %}
        {{ noted(key) }}
            or {{ moves }}
            or exists {{ touched('clock') }};
        delete from {{ this }} where {{ key }} in {{ noted_keys(key) }}
    {% endif %}
{%- endmacro %}


{% macro noted_keys(key) -%}
    (
        select notes.key from intermediate.to_publish as notes
        where notes.mart = '{{ this.identifier }}' and notes.key_column = '{{ key }}'
    )
{%- endmacro %}


{% macro note_what_came(key) -%}
    {% if replaces_rows() %}{{ noted(key) }}{% endif %}
{%- endmacro %}


{# Notes the rows of touched threads; more conditions may follow. #}
{% macro noted(key) -%}
    insert into intermediate.to_publish (mart, key_column, key)
    select
        '{{ this.identifier }}',
        '{{ key }}',
        {{ key }}
    from {{ this }}
    where
        thread_key in {{ touched('thread_key') }}
{%- endmacro %}


{# The rows that such a table does not have: what was deleted from it, and what touched threads brought. #}
{% macro where_missing(relation, key) -%}
    {% if target.type == 'postgres' and replaces_rows() %}
        where
            {{ relation }}.thread_key in {{ touched('thread_key') }}
            or {{ relation }}.{{ key }} in {{ noted_keys(key) }}
    {% endif %}
{%- endmacro %}
