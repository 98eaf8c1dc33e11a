{# What else has to be recomputed, where the rule is more than one look at one table: hooks. #}


{# What messages read of their conversation in the list: see the staging models. #}
{% macro read_by_messages() -%}
    {{ return(['told_by', 'channel_id', 'contact_id', 'phone', 'bsuid']) }}
{%- endmacro %}


{# What an identity is known by: all but its key. #}
{% macro who_it_is() -%}
    {{ return(['contact_name', 'contact_id', 'phone_key', 'phone_e164', 'country_code', 'bsuid']) }}
{%- endmacro %}


{# Rows of all rooms, to look for keys in. #}
{% macro rooms(model) -%}
    ({{ union_rooms(model) }}) as rooms
{%- endmacro %}


{#
    Messages that are kept under the network's id, since a webhook named them by nothing else, and
    whose own id is known by now.
#}
{% macro touch_renamed_messages() -%}
    {% if replaces_rows() %}
        insert into {{ source('intermediate', 'touched') }} (kind, key)
        select distinct
            'message_id',
            names.wa_message_id
        from {{ ref('int_messages__named') }} as names
        inner join {{ this }} as messages
            on
                names.provider = messages.provider
                and names.account = messages.account
                and names.wa_message_id = messages.message_id
                and names.message_id <> messages.message_id
    {% endif %}
{%- endmacro %}


{# Messages whose template is another one by now: a template was listed, renamed or dropped. #}
{% macro touch_renamed_templates() -%}
    {% if not builds_everything() %}
        insert into {{ source('intermediate', 'touched') }} (kind, key)
        select distinct
            'message_id',
            messages.message_id
        from {{ this.incorporate(path={'identifier': 'int_messages__classified'}) }} as messages
        left join {{ this }} as templates
            on
                messages.provider = templates.provider
                and messages.account = templates.account
                and messages.template_name = templates.template_name
                and coalesce(messages.template_language, '') = templates.template_language
        where
            messages.template_name is not null
            and messages.template_key is distinct from templates.template_key
    {% endif %}
{%- endmacro %}


{#
    Touched threads, and those with a message whose price moved with others of its month or with its
    template: a kind of its own, since many models make touched threads anew beside this one.
#}
{% macro touch_repriced_threads() -%}
    {% if replaces_rows() %}
        insert into {{ source('intermediate', 'touched') }} (kind, key)
        select distinct
            'repriced_thread',
            messages.thread_key
        from {{ this }} as messages
        left join {{ ref('int_messages__priced') }} as priced on messages.message_key = priced.message_key
        where coalesce(messages.estimated_cost_usd, 0) <> coalesce(priced.estimated_cost_usd, 0)
        union
        select distinct
            'repriced_thread',
            keys.key
        from {{ touched('thread_key') }} as keys
    {% endif %}
{%- endmacro %}


{#
    Conversations with an assignment that came, changed or went: before the assignments are made anew
    and after. What syncs saw of assignees changes with the conversation itself.
#}
{% macro touch_reassigned_conversations() -%}
    {% if not builds_everything() %}
        insert into {{ source('intermediate', 'touched') }} (kind, key)
        select distinct
            'conversation_key',
            conversation_key
        from {{ this }}
        where assignment_id in {{ touched('assignments') }}
    {% endif %}
{%- endmacro %}
