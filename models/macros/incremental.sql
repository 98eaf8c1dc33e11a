{#
    How to make a model incremental.

    A build recomputes only what new rows are about. Each incremental model belongs to one kind of
    thing: its column `message_id`, `thread_key` or the like says which one a row is about. Two lines:

        {{ by('thread_key') }}
        … select * from {{ ref('int_threads__events') }} {{ where_touched('thread_key') }}

    `by` deletes the rows of touched things; the model then selects what stands there now, and only
    that. So the model must be right for any set of things taken alone: every input is either
    narrowed with `where_touched`, or read whole.

    What is touched stands in one table, `intermediate.touched`: a kind (the name of a column) and a
    key. It begins with the ids of the raw rows that were loaded, changed or erased. From there it is
    passed on:

        notes=['thread_key']       what the replaced rows are about, before and after
        touch('message_id', …)     what else depends on it, as a hook: before=[…] or after=[…]
        remember, touch_renewed    the same of what reads a few columns: hooks before and after
        kind='repriced_thread'     the kind of what is touched, where it is not the column's name

    A key too many costs time, one too few is a wrong number. The table is emptied when a build has
    passed its tests, so a build that fails or is killed is taken up by the next one. Nothing that
    depends on "now" is stored in an incremental model: see int_turns__waiting.

    A model that is none of this is a table and is built whole every time: right, only slower.
    Models that replace rows of a kind come after all those that note or touch that kind.
#}

{% macro by(column, kind=none, notes=[], before=[], after=[], tags=[]) -%}
    {%- set noting = ["{{ note('" ~ column ~ "', " ~ notes ~ ") }}"] if notes else [] -%}
    {%- set forgetting = "{{ forget('" ~ column ~ "', '" ~ (kind or column) ~ "') }}" -%}
    {{ config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=in_one(before + noting + [forgetting]),
        post_hook=[in_one(noting + after)] + ([after_commit('{{ known_to_planner() }}')] if notes or before or after else []),
        meta={'threads': kind} if kind else {},
        tags=tags,
        indexes=[{'columns': [column]}] if target.type == 'postgres' else [],
    ) }}
{%- endmacro %}


{# Hooks as one, with one trip to the database: all of them are for builds of what is new. #}
{% macro in_one(hooks) -%}
    {{ return("{% if replaces_rows() %}" ~ hooks | join("; ") ~ "{% endif %}") }}
{%- endmacro %}


{#
    Hook: let PostgreSQL know what a table holds that was just made. It plans without a look at it
    otherwise, and joins half a million rows as if they were a few. DuckDB knows.
#}
{% macro analyzed() -%}
    {% if target.type == 'postgres' and model.config.materialized != 'view' and not replaces_rows() %}
        analyze {{ this }}
    {% endif %}
{%- endmacro %}


{#
    Hook: let PostgreSQL know what is touched by now, so that it looks those rows up by an index
    instead of reading half a million. After the commit: two models that say so at a time would wait
    for one another. DuckDB knows.
#}
{% macro known_to_planner() -%}
    {% if target.type == 'postgres' and replaces_rows() %}analyze {{ source('intermediate', 'touched') }}{% endif %}
{%- endmacro %}


{# The keys of one kind that this build has to recompute. #}
{% macro touched(kind) -%}
    (select touched.key from {{ source('intermediate', 'touched') }} as touched where touched.kind = '{{ kind }}')
{%- endmacro %}


{# The rows of touched things; all rows in a full build. #}
{% macro where_touched(kind, column=none) -%}
    {% if replaces_rows() %}where {{ column or kind }} in {{ touched(kind) }}{% endif %}
{%- endmacro %}


{#
    The same of rows whose key is the id of a raw row. PostgreSQL pushes a list into the views of the
    rooms, down to the index of the raw table, but not another table: it would parse every row.
#}
{% macro where_touched_raw(kind, column=none) -%}
    {% if replaces_rows() and target.type == 'postgres' and are_few(kind) %}
        where {{ column or kind }} = any (array(select distinct key from {{ touched(kind) }} as keys))
    {%- else -%}
        {{ where_touched(kind, column) }}
    {%- endif %}
{%- endmacro %}


{# A list is walked for every row where there is no index, so a long one would take for ever. #}
{% macro are_few(kind) -%}
    {%- if execute -%}
        {%- set some = '(select distinct key from ' ~ touched(kind) ~ ' as keys limit 20001) as few' -%}
        {{ return(run_query('select count(*) from ' ~ some).columns[0].values()[0] <= 20000) }}
    {%- endif -%}
    {{ return(false) }}
{%- endmacro %}


{# Tests look at touched things too, and at everything in a full build. Follows a `where`. #}
{% macro is_touched(kind, column=none) -%}
    {% if builds_everything() %}true{% else %}{{ column or kind }} in {{ touched(kind) }}{% endif %}
{%- endmacro %}


{# Not in a full build, nor in a unit test, where all rows are given. #}
{% macro replaces_rows() -%}
    {{ return(not builds_everything() and is_incremental()) }}
{%- endmacro %}


{% macro builds_everything() -%}
    {{ return(flags.FULL_REFRESH or flags.WHICH not in ('build', 'run')) }}
{%- endmacro %}


{#
    Hook: all keys of a kind in the rows of a relation that are about touched things of another. Each
    once: PostgreSQL counts them to decide whether an index is worth it.
#}
{% macro touch(kind, relation, about, column=none, key=none) -%}
    {% if replaces_rows() %}
        insert into {{ source('intermediate', 'touched') }} (kind, key)
        select distinct
            '{{ kind }}',
            {{ key or kind }}
        from {{ relation }}
        where
            {{ column or about }} in {{ touched(about) }}
            and {{ key or kind }} is not null
            and {{ key or kind }} not in {{ touched(kind) }}
    {% endif %}
{%- endmacro %}


{#
    Two hooks for what depends on some columns of the rows that are replaced: `remember` before, what
    they say, and `touch_renewed` after, as keys of another kind, which of them say something else,
    came or went. A conversation changes with each of its messages, what its messages read of it
    hardly ever: without this, all of them would be made again.
#}
{% macro remember(column, columns) -%}
    {% if replaces_rows() %}
        insert into {{ source('intermediate', 'touched') }} (kind, key)
        select
            '{{ column }} before',
            {{ said(column, columns) }}
        from {{ this }}
        where {{ column }} in {{ touched(column) }}
    {% endif %}
{%- endmacro %}


{% macro touch_renewed(kind, column, columns) -%}
    {% if replaces_rows() %}
        insert into {{ source('intermediate', 'touched') }} (kind, key)
        with
        said_before as (
            select keys.key as said from {{ touched(column ~ ' before') }} as keys
        ),

        said_now as (
            select {{ said(column, columns) }} as said
            from {{ this }}
            where {{ column }} in {{ touched(column) }}
        ),

        differing as (
            (select said from said_before except select said from said_now)
            union all
            (select said from said_now except select said from said_before)
        )

        select distinct
            '{{ kind }}',
            left(said, -33)
        from differing
    {% endif %}
{%- endmacro %}


{# A key and a digest of what its row says in some columns: 33 characters after the key. #}
{% macro said(column, columns) -%}
    {{ column }} || ' ' || md5(
        provider || ' ' || account{% for name in columns %} || chr(31) || coalesce('=' || {{ name }}, ''){% endfor %}
    )
{%- endmacro %}


{# Hook: what the rows of touched things are about besides, by one look at them. #}
{% macro note(column, kinds) -%}
    {% if replaces_rows() %}{{ keys_of_rows(column, kinds) }}{% endif %}
{%- endmacro %}


{% macro keys_of_rows(column, kinds) -%}
    insert into {{ source('intermediate', 'touched') }} (kind, key)
    with
    noted as (
        select {{ kinds | join(', ') }}
        from {{ this }}
        where {{ column }} in {{ touched(column) }}
    )

    {% for kind in kinds %}{{ keys_of_noted(kind) }}{{ ' union all ' if not loop.last }}{% endfor %}
{%- endmacro %}


{% macro keys_of_noted(kind) -%}
    select distinct
        '{{ kind }}',
        {{ kind }}
    from noted
    where {{ kind }} is not null and {{ kind }} not in {{ touched(kind) }}
{%- endmacro %}


{# Hook: make room for the rows of touched things. #}
{% macro forget(column, kind) -%}
    {% if replaces_rows() %}
        {{ will_replace(column, kind) }}
        delete from {{ this }} where {{ column }} in {{ touched(kind) }}
    {% endif %}
{%- endmacro %}
