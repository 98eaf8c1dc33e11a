{#
    The thread of a row: its channel and its contact. Without a contact the conversation stands in
    for it, and without that the row is a thread of its own: strangers are never lumped together.
#}
{% macro thread_key(relation, identity, own_id) -%}
    {{ relation }}.provider || ':' || {{ relation }}.account
    || ':' || coalesce({{ relation }}.channel_id, 'unknown')
    || ':' || coalesce(
        {{ identity }}.contact_name,
        'conversation:' || {{ relation }}.conversation_id,
        'alone:' || {{ relation }}.{{ own_id }}
    )
{%- endmacro %}
