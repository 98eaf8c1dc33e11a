with

messages as (

    select * from {{ source('raw_kapso', 'messages') }}

),

conversations as (

    select * from {{ ref('stg_kapso__conversations') }}

),

parsed as (

    select
        *,
        {{ lowered('"type"') }} as message_type,
        {{ lowered('kapso_direction') }} as direction,
        length({{ kapso_text() }}) as text_length,
        {{ to_json('interactive') }} as interactive_json,
        {{ to_json('template') }} as template_json,
        case when {{ lowered('"type"') }} in ('revoke', 'edit') then {{ to_json('payload') }} end as notice_json
    from messages

),

identified as (

    select
        *,
        coalesce(
            {{ clean('kapso_phone_number') }},
            {{ clean('case direction when \'inbound\' then "from" when \'outbound\' then "to" end') }}
        ) as customer,
        coalesce(
            {{ clean('business_scoped_user_id') }},
            {{ clean("case direction when 'inbound' then from_user_id when 'outbound' then to_user_id end") }}
        ) as customer_bsuid
    from parsed

),

final as (

    select
        -- ids
        'kapso' as provider,
        identified.account,
        identified.id as message_id,
        identified.id as wa_message_id,
        {{ clean('identified.kapso_whatsapp_conversation_id') }} as conversation_id,
        coalesce({{ clean('identified.kapso_phone_number_id') }}, conversations.channel_id) as channel_id,

        -- the customer: what the message says, else what its conversation says
        cast(null as text) as contact_id,
        case
            when identified.customer is null and identified.customer_bsuid is null then conversations.phone
            else {{ phone_in('identified.customer') }}
        end as phone,
        case
            when identified.customer is null and identified.customer_bsuid is null then conversations.bsuid
            else coalesce(identified.customer_bsuid, {{ bsuid_in('identified.customer') }})
        end as bsuid,

        -- what it is
        identified.direction,
        identified.message_type,
        identified.text_length,
        {{ json_text('identified.template_json', ['name']) }} as template_name,
        coalesce(
            {{ json_text('identified.template_json', ['language', 'code']) }},
            {{ json_text('identified.template_json', ['language']) }}
        ) as template_language,
        coalesce(
            {{ clean('identified.original_message_id') }},
            {{ json_text('identified.notice_json', ['original_message_id']) }},
            {{ json_text('identified.notice_json', ['revoke', 'original_message_id']) }},
            {{ json_text('identified.notice_json', ['edit', 'original_message_id']) }}
        ) as original_message_id,
        coalesce(
            identified.message_type = 'call_permission_reply'
            or {{ json_text('identified.interactive_json', ['type']) }} = 'call_permission_reply'
            or {{ json_text('identified.interactive_json', ['call_permission_reply']) }} is not null,
            false
        ) as is_call_permission_reply,

        -- who sent it
        {{ lowered('identified.kapso_origin') }} as origin,
        cast(null as text) as agent_id,  -- no message says which user wrote it
        cast(null as boolean) as is_ai,
        cast(null as text) as campaign_id,
        coalesce({{ lowered('identified.kapso_origin') }} = 'history_sync', false) as is_imported,

        -- how it went
        {{ lowered('identified.kapso_status') }} as status,
        {{ json_text(to_json('identified.errors'), [0, 'code']) }} as error_code,

        -- when
        {{ to_message_time('identified."timestamp"') }} as occurred_at,
        cast(null as bigint) as position,
        identified.fetched_at
    from identified
    left join conversations
        on
            identified.account = conversations.account
            and identified.kapso_whatsapp_conversation_id = conversations.conversation_id

)

select * from final
