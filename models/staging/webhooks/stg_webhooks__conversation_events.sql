-- One row per thing that happened to a conversation, however often it was told.
with

events as (

    select
        *,
        row_number() over (
            -- without a time of its own, each telling is of something else
            partition by provider, account, event_key, coalesce({{ to_instant('occurred_at') }}, received_at)
            order by received_at, {{ bytewise('row_hash') }}, delivery_id
        ) as choice
    from {{ source('raw_webhooks', 'conversation_events') }}

),

final as (

    select
        provider,
        account,
        conversation_id,
        kind,
        event_key,
        -- the body's time, else when it was first told
        coalesce({{ to_instant('occurred_at') }}, received_at) as occurred_at,
        {{ to_instant('last_message_at') }} as last_message_at,
        source,
        received_at as fetched_at
    from events
    where choice = 1

)

select * from final
