with

messages as (

    select * from {{ source('raw_waspy', 'messages') }}

),

conversations as (

    select * from {{ ref('stg_waspy__conversations') }}

),

parsed as (

    select
        *,
        {{ to_json('content') }} as content_json,
        {{ to_json('metadata') }} as metadata_json
    from messages

),

final as (

    select
        -- ids
        'waspy' as provider,
        parsed.account,
        parsed.id as message_id,
        {{ clean('parsed.wa_message_id') }} as wa_message_id,
        {{ clean('parsed.conversation_id') }} as conversation_id,
        coalesce({{ clean('parsed.phone_number_id') }}, conversations.channel_id) as channel_id,

        -- the customer: the contact the message names, else its conversation's
        coalesce({{ clean('parsed.contact_id') }}, conversations.contact_id) as contact_id,
        case when {{ clean('parsed.contact_id') }} is null then conversations.phone end as phone,
        case when {{ clean('parsed.contact_id') }} is null then conversations.bsuid end as bsuid,

        -- what it is
        {{ lowered('parsed.direction') }} as direction,
        {{ lowered('parsed."type"') }} as message_type,
        length(coalesce(
            {{ json_text('parsed.content_json', ['text']) }},
            {{ json_text('parsed.content_json', ['body']) }},
            {{ json_text('parsed.content_json', ['caption']) }}
        )) as text_length,
        {{ clean('parsed.template_name_snapshot') }} as template_name,
        cast(null as text) as template_language,
        coalesce(
            {{ json_text('parsed.content_json', ['original_message_id']) }},
            {{ json_text('parsed.content_json', ['originalMessageId']) }},
            {{ json_text('parsed.metadata_json', ['original_message_id']) }},
            {{ json_text('parsed.metadata_json', ['originalMessageId']) }}
        ) as original_message_id,
        coalesce(
            {{ lowered('parsed."type"') }} = 'call_permission_reply'
            or {{ json_text('parsed.content_json', ['type']) }} = 'call_permission_reply'
            or {{ json_text('parsed.content_json', ['call_permission_reply']) }} is not null,
            false
        ) as is_call_permission_reply,

        -- who sent it
        {{ lowered('parsed.origin') }} as origin,
        coalesce(
            {{ json_text('parsed.metadata_json', ['agentId']) }},
            {{ json_text('parsed.metadata_json', ['userId']) }}
        ) as agent_id,
        {{ to_boolean('parsed.sent_by_ai') }} as is_ai,
        {{ clean('parsed.campaign_id') }} as campaign_id,
        false as is_imported,

        -- how it went
        {{ lowered('parsed.status') }} as status,
        {{ clean('parsed.error_code') }} as error_code,

        -- when
        {{ to_message_time('parsed.created_at') }} as occurred_at,
        {{ to_integer('parsed.position') }} as position,
        parsed.fetched_at
    from parsed
    left join conversations
        on
            parsed.account = conversations.account
            and parsed.conversation_id = conversations.conversation_id

)

select * from final
