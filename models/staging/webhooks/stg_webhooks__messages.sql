-- One row per message that webhooks carried: of several tellings the one that tells of the message
-- itself, not of what became of it; then the earliest. No order of arrival decides.
with

messages as (

    select * from {{ source('raw_webhooks', 'messages') }}

),

parsed as (

    select
        *,
        {{ to_boolean('is_new') }} as is_own_time,
        {{ to_instant('occurred_at') }} as told_at
    from messages

),

numbered as (

    select
        *,
        row_number() over (
            partition by provider, account, coalesce(message_id, ''), wa_message_id
            order by is_own_time desc nulls last, told_at asc nulls last, {{ bytewise('row_hash') }}, delivery_id
        ) as choice
    from parsed

),

final as (

    select
        -- ids
        provider,
        account,
        message_id,
        wa_message_id,
        conversation_id,
        channel_id,

        -- the customer
        contact_id,
        {{ phone_in('phone') }} as phone,
        {{ clean('bsuid') }} as bsuid,

        -- what it is
        direction,
        message_type,
        {{ to_integer('text_length') }} as text_length,
        template_name,
        template_language,
        original_message_id,
        coalesce({{ to_boolean('is_call_permission_reply') }}, false) as is_call_permission_reply,

        -- who sent it
        origin,
        agent_id,
        {{ to_boolean('is_ai') }} as is_ai,
        campaign_id,
        coalesce({{ to_boolean('is_imported') }}, false) as is_imported,

        -- how it went
        status,
        error_code,

        -- when: null until something tells when it was sent
        told_at as occurred_at,
        cast(null as bigint) as position,
        received_at as fetched_at
    from numbered
    where choice = 1

)

select * from final
