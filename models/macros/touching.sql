{# What else has to be recomputed, where the rule is more than one look at one table: hooks. #}


{#
    Messages that a webhook names by the network's id alone: the row of such a one is kept under that
    id until the provider's own is known. Whatever shares a network's id is recomputed together.
#}
{% macro touch_renamed_messages() -%}
    {% if replaces_rows() %}
        {%- set names = ref('int_messages__named') -%}
        {{ touch('message_id', this, 'message_id', key='wa_message_id') }};
        {{ touch('message_id', names, 'message_id', key='wa_message_id') }};
        insert into {{ source('intermediate', 'touched') }} (kind, key)
        select distinct
            'message_id',
            names.wa_message_id
        from {{ names }} as names
        inner join {{ this }} as messages
            on
                names.provider = messages.provider
                and names.account = messages.account
                and names.wa_message_id = messages.message_id
                and names.message_id <> messages.message_id;
        {{ touch('message_id', names, 'message_id', column='wa_message_id') }};
        {{ touch('message_id', this, 'message_id', column='wa_message_id') }};
    {% endif %}
{%- endmacro %}


{# Calls that webhooks tell of, under the network's id, and the list under its own. #}
{% macro touch_told_calls() -%}
    {% if replaces_rows() %}
        {%- set seen = [this] -%}
        {%- for provider in var('providers') %}{% do seen.append(ref('stg_' ~ provider ~ '__calls')) %}{% endfor -%}
        {% for calls in seen %}
            {{ touch('call_id', calls, 'call_id', key='network_call_id') }};
        {% endfor %}
        {% for calls in seen %}
            {{ touch('call_id', calls, 'call_id', column='network_call_id') }};
        {% endfor %}
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


{# Threads with a message whose price moved with others of its month, or with its template. #}
{% macro touch_repriced_messages() -%}
    {% if replaces_rows() %}
        insert into {{ source('intermediate', 'touched') }} (kind, key)
        select distinct
            'thread_key',
            messages.thread_key
        from {{ this }} as messages
        left join {{ ref('int_messages__priced') }} as priced on messages.message_key = priced.message_key
        where coalesce(messages.estimated_cost_usd, 0) <> coalesce(priced.estimated_cost_usd, 0)
    {% endif %}
{%- endmacro %}
