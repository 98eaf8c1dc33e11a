{{ by(
    'message_id',
    notes=['identity_key', 'original_message_id', 'conversation_id'],
    before=[
        "{{ touch('message_id', this, 'renewed_conversation', column='conversation_id') }}",
        "{{ touch('message_id', this, 'message_id', key='wa_message_id') }}",
        "{{ touch('message_id', ref('int_messages__named'), 'message_id', key='wa_message_id') }}",
        "{{ touch_renamed_messages() }}",
        "{{ touch('message_id', ref('int_messages__named'), 'message_id', column='wa_message_id') }}",
        "{{ touch('message_id', this, 'message_id', column='wa_message_id') }}",
    ],
    after=[
        "{{ touch('message_id', this, 'original_message_id', column='message_id') }}",
        "{{ touch('message_id', this, 'original_message_id', column='wa_message_id') }}",
    ],
    tags=['rows'],
) }}
-- depends_on: {{ ref('int_conversations__unioned') }}

{%- set facts = [
    'wa_message_id', 'conversation_id', 'channel_id', 'contact_id', 'phone', 'bsuid', 'direction',
    'message_type', 'text_length', 'template_name', 'template_language', 'original_message_id',
    'origin', 'agent_id', 'campaign_id', 'error_code', 'occurred_at', 'position', 'fetched_at',
] %}
{%- set marks = ['is_call_permission_reply', 'is_ai', 'is_imported'] %}

with

listed as (

    {{ union_rooms('messages') }}

),

told as (

    select * from {{ ref('stg_webhooks__messages') }}

),

names as (

    select * from {{ ref('int_messages__named') }}

),

resolved as (

    select
        told.*,
        coalesce(told.message_id, names.message_id, told.wa_message_id) as known_id
    from told
    left join names
        on
            told.message_id is null
            and told.provider = names.provider
            and told.account = names.account
            and told.wa_message_id = names.wa_message_id

),

both_sources as (

    select
        *,
        cast(null as boolean) as is_own_time,
        cast(null as text) as row_hash,
        message_id as known_id,
        true as is_listed
    from listed
    {{ where_touched_raw('message_id') }}
    union all
    select
        *,
        false as is_listed
    from resolved
    {{ where_touched('message_id', 'known_id') }}

),

-- The list has the last word on what a message is. Of several copies the newest counts: a row may
-- have been landed more than once. Then the telling of the message itself, not of what became of
-- it; then the earliest. No order of arrival decides.
numbered as (

    select
        *,
        row_number() over (
            partition by provider, account, known_id
            order by
                is_listed desc,
                case when is_listed then fetched_at end desc nulls last,
                is_own_time desc nulls last,
                occurred_at asc nulls last,
                status asc,
                {{ bytewise('row_hash') }},
                fetched_at asc
        ) as copy_number,
        count(*) over (partition by provider, account, known_id) as copies
    from both_sources

),

-- Most messages have one copy. Of the others each column is what the first copy says that says
-- anything of it: a list row leaves open what only a webhook tells. What any of them marks a
-- message as, it is; how far it came, it came.
merged as (

    select
        provider,
        account,
        known_id,
        {% for column in facts -%}
            {{ first_known(column, 'copy_number') }} as {{ column }},
        {% endfor -%}
        {% for column in marks -%}
            bool_or({{ column }}) as {{ column }},
        {% endfor -%}
        {{ furthest_status('status', 'copy_number') }} as status,
        bool_or(is_listed) as is_listed,
        bool_or(not is_listed) as is_told
    from numbered
    where copies > 1
    group by 1, 2, 3
    union all
    select
        provider,
        account,
        known_id,
        {{ (facts + marks) | join(', ') }},
        status,
        is_listed,
        not is_listed as is_told
    from numbered
    where copies = 1

),

final as (

    select
        provider,
        account,
        known_id as message_id,
        wa_message_id,
        conversation_id,
        channel_id,
        contact_id,
        phone,
        bsuid,
        direction,
        message_type,
        text_length,
        template_name,
        template_language,
        original_message_id,
        is_call_permission_reply,
        origin,
        agent_id,
        is_ai,
        campaign_id,
        is_imported,
        status,
        error_code,
        occurred_at,
        position,
        fetched_at,
        is_listed,
        is_told,
        {{ mart_key('merged', 'known_id') }} as message_key,
        {{ mart_key('merged', 'conversation_id') }} as conversation_key,
        {{ mart_key('merged', 'channel_id') }} as channel_key,
        {{ identity_key('merged') }} as identity_key
    from merged

)

select * from final
