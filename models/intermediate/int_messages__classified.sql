{{ by('message_id', notes=['thread_key', 'conversation_key']) }}

with

messages as (

    select * from {{ ref('int_messages__unioned') }}
    {{ where_touched('message_id') }}

),

every_message as (

    select * from {{ ref('int_messages__unioned') }}

),

statuses as (

    select * from {{ ref('int_message_statuses__merged') }}

),

identities as (

    select * from {{ ref('int_contacts__identities') }}

),

broadcasts as (

    select * from {{ ref('int_messages__broadcasts') }}

),

templates as (

    select * from {{ ref('int_templates__named') }}

),

message_types as (

    select * from {{ ref('message_types') }}

),

sender_origins as (

    select * from {{ ref('sender_origins') }}

),

-- The network's id names a message in a revoke; the provider's own id may too.
revoked as (

    select distinct
        provider,
        account,
        original_message_id
    from every_message
    where message_type = 'revoke' and original_message_id is not null

),

joined as (

    select
        messages.*,
        identities.contact_key,
        templates.template_key,
        coalesce(messages.campaign_id, broadcasts.broadcast_id) as broadcast_id,
        coalesce(sender_origins.is_on_phone, false) as is_on_phone,
        {{ thread_key('messages', 'identities', 'message_id') }} as thread_key,
        case
            when messages.direction = 'inbound' then 'customer'
            when messages.campaign_id is not null or broadcasts.broadcast_id is not null then 'campaign'
            when messages.is_ai then 'bot'
            else coalesce(sender_origins.sender_kind, 'unknown')
        end as sender_kind,
        coalesce(message_types.is_request, true) as is_request_type,
        coalesce(message_types.is_reply, true) as is_reply_type,
        coalesce(message_types.opens_window, true) as is_opening_type,
        coalesce(revoked_by_network.original_message_id, revoked_by_id.original_message_id)
        is not null as is_revoked,
        greatest(statuses.status_rank, {{ status_rank('messages.status') }}) as status_rank,
        coalesce(statuses.has_failed, false) or {{ is_failure('messages.status') }} as has_failed,
        statuses.sent_at,
        statuses.delivered_at,
        statuses.read_at,
        statuses.played_at,
        statuses.failed_at,
        coalesce(statuses.error_code, messages.error_code) as final_error_code,
        statuses.pricing_category,
        statuses.pricing_type,
        messages.is_told or coalesce(statuses.is_told, false) as has_webhook
    from messages
    left join statuses on messages.message_key = statuses.message_key
    left join identities on messages.identity_key = identities.identity_key
    left join broadcasts on messages.message_key = broadcasts.message_key
    left join templates
        on
            messages.provider = templates.provider
            and messages.account = templates.account
            and messages.template_name = templates.template_name
            and coalesce(messages.template_language, '') = templates.template_language
    left join message_types on messages.message_type = message_types.message_type
    left join sender_origins
        on
            messages.provider = sender_origins.provider
            and messages.origin = sender_origins.origin
    left join revoked as revoked_by_network
        on
            messages.provider = revoked_by_network.provider
            and messages.account = revoked_by_network.account
            and messages.wa_message_id = revoked_by_network.original_message_id
    left join revoked as revoked_by_id
        on
            messages.provider = revoked_by_id.provider
            and messages.account = revoked_by_id.account
            and messages.message_id = revoked_by_id.original_message_id

),

-- Failed wins over pending and sent only: what was delivered did arrive.
settled as (

    select
        *,
        case
            when has_failed and coalesce(status_rank, 0) <= 1 then 'failed'
            when status_rank = 0 then 'pending'
            when status_rank = 1 and direction = 'inbound' then 'received'
            when status_rank = 1 then 'sent'
            when status_rank = 2 then 'delivered'
            when status_rank = 3 then 'read'
            when status_rank = 4 then 'played'
            else status
        end as final_status,
        occurred_at is not null and not is_imported as is_live
    from joined

),

final as (

    select
        -- keys
        message_key,
        provider,
        account,
        message_id,
        wa_message_id,
        conversation_key,
        thread_key,
        channel_id,
        channel_key,
        contact_key,

        -- what it is
        direction,
        sender_kind,
        agent_id,
        broadcast_id,
        message_type,
        text_length,
        template_name,
        template_language,
        template_key,
        coalesce(message_type = 'template', false) as is_template,
        is_imported,
        is_live,

        -- times
        occurred_at,
        position,
        sent_at,
        delivered_at,
        read_at,
        played_at,
        failed_at,

        -- how it went
        final_status as status,
        status_rank,
        final_error_code as error_code,
        pricing_category,
        pricing_type,
        case when not is_listed then 'webhook' when has_webhook then 'both' else 'api' end as seen_in,
        is_on_phone,

        -- what it does to turns and windows
        coalesce(
            direction = 'inbound'
            and is_live
            and is_request_type
            and not is_call_permission_reply
            and not is_revoked,
            false
        ) as is_request,
        coalesce(
            direction = 'outbound'
            and is_live
            and is_reply_type
            and sender_kind in ('human', 'bot', 'unknown')
            and final_status is distinct from 'failed'
            and final_status is distinct from 'pending',
            false
        ) as is_reply,
        coalesce(direction = 'inbound' and is_live and is_opening_type, false) as opens_window,
        coalesce(
            direction = 'outbound'
            and is_live
            and is_reply_type
            and final_status is distinct from 'failed',
            false
        ) as is_business_message
    from settled

)

select * from final
