{#
    What the generic tests look at. In a build of what is new: of models that keep their rows by
    thread, those of touched threads. The rest passed its tests before, and is as it was.
#}
{% macro get_where_subquery(relation) -%}
    {%- set conditions = [config.get('where')] | select | list -%}
    {%- set node = graph.nodes.get('model.doblecheck.' ~ relation.identifier) if execute -%}
    {%- set is_kept = node and node.config.materialized in ('incremental', 'view') -%}
    {%- if is_kept and 'thread_key' in node.columns and not builds_everything() -%}
        {%- do conditions.append('thread_key in ' ~ touched(node.config.meta.get('threads', 'thread_key'))) -%}
    {%- endif -%}
    {%- if conditions -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ conditions | join(' and ') ~ ') as looked_at') }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}
