-- One row per telling of a message, and several of most: a message is what all of them say together.
with

messages as (

    select * from {{ source('raw_webhooks', 'messages') }}

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
        {{ to_instant('occurred_at') }} as occurred_at,
        cast(null as bigint) as position,
        received_at as fetched_at,

        -- which telling comes first
        {{ to_boolean('is_new') }} as is_own_time,
        row_hash
    from messages

)

select * from final
