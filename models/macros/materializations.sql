{#
    How tables are made. dbt's own way makes a second table and renames both, describes the query
    and looks for keys and indexes that there are none of: ten statements for one. Nobody reads what a build is
    making, and other models make everything anew, so one statement is enough.
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


{#
    On PostgreSQL a table stays, with its indexes and the views that read it, and gets other rows: a
    full build has dropped it before. Rows go into the columns by their order, which only other models
    change, or by the names of the contract.
#}

{% materialization table, adapter='postgres' %}
{% set stays = stays_here() %}
{{ run_hooks(pre_hooks) }}
{% call statement('main') %}
{% if stays %}truncate {{ this }}; {{ added(sql) }}{% else %}{{ get_create_table_as_sql(False, this, sql) }}{% endif %}
{% endcall %}
{{ run_hooks(post_hooks) }}
{% do adapter.commit() %}
{{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{% materialization incremental, adapter='postgres' %}
{% set stays = stays_here() %}
{{ run_hooks(pre_hooks) }}
{% call statement('main') %}
{% if stays %}{{ added(sql) }}{% else %}{{ get_create_table_as_sql(False, this, sql) }}{% endif %}
{% endcall %}
{% if not stays %}{% do create_indexes(this) %}{% endif %}
{{ run_hooks(post_hooks) }}
{% do adapter.commit() %}
{{ run_hooks(post_hooks, inside_transaction=False) }}
{{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{# Whether a table is there that only needs other rows; what is there otherwise goes. #}
{% macro stays_here() -%}
{%- set old = load_cached_relation(this) -%}
{%- set stays = old is not none and old.is_table and not builds_everything() -%}
{%- if old is not none and not stays %}{% do adapter.drop_relation(old) %}{% endif -%}
{{ return(stays) }}
{%- endmacro %}


{% macro added(sql) -%}
{%- set is_promised = config.get('contract').enforced -%}
insert into {{ this }}
{%- if is_promised %} ({{ adapter.dispatch('get_column_names', 'dbt')() }}){% endif %}
{{ get_select_subquery(sql) if is_promised else sql }}
{%- endmacro %}


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
