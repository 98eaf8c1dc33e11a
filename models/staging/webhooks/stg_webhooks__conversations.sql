-- One row per conversation that webhooks carried, as it was last changed.
with

conversations as (

    select * from {{ source('raw_webhooks', 'conversations') }}

),

numbered as (

    select
        *,
        row_number() over (
            partition by provider, account, conversation_id
            order by
                {{ to_instant('updated_at') }} desc nulls last,
                {{ to_instant('last_active_at') }} desc nulls last,
                {{ bytewise('row_hash') }},
                delivery_id
        ) as choice
    from conversations

),

final as (

    select
        -- ids
        provider,
        account,
        conversation_id,
        channel_id,
        cast(null as text) as contact_id,
        {{ phone_in('phone') }} as phone,
        {{ clean('bsuid') }} as bsuid,
        cast(null as text) as assigned_agent_id,

        -- state
        status,

        -- times
        {{ to_instant('created_at') }} as created_at,
        {{ to_instant('last_active_at') }} as last_active_at,
        cast(null as timestamptz) as ended_at,  -- its events say
        cast(null as timestamptz) as window_expires_at,
        received_at as fetched_at
    from numbered
    where choice = 1

)

select * from final
