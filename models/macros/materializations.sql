{#
    How DuckDB makes tables. dbt's own way makes a second table and renames both, describes the query
    and looks for keys and indexes that there are none of: ten statements for one. Nobody reads the
    writer's file during a build, and other models make everything anew, so one statement is enough.
#}

{% materialization table, adapter='duckdb' %}
{{ run_hooks(pre_hooks) }}
{% call statement('main') %}{{ made_anew(sql) }}{% endcall %}
{{ run_hooks(post_hooks) }}
{% do adapter.commit() %}
{{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{% materialization incremental, adapter='duckdb' %}
{{ run_hooks(pre_hooks) }}
{% call statement('main') %}
{% if is_incremental() %}insert into {{ this }} by name {{ sql }}{% else %}{{ made_anew(sql) }}{% endif %}
{% endcall %}
{{ run_hooks(post_hooks) }}
{% do adapter.commit() %}
{{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{# The statements that put the rows of a query in the place of a table. #}
{% macro made_anew(sql) -%}
{%- set old = load_cached_relation(this) -%}
{%- if old is not none and not old.is_table %}drop {{ old.type }} {{ old }};{% endif %}
create or replace table {{ this }}
{%- if config.get('contract').enforced %}
{{ get_table_columns_and_constraints() }};
{%- if builds_everything() %}{{ get_assert_columns_equivalent(sql) }}{% endif %}
insert into {{ this }} by name
{%- else %} as{% endif %}
{{ sql }}
{%- endmacro %}
