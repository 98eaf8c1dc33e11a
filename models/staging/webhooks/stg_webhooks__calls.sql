-- One row per call, from all of its events. They come in any order and more than once, so each
-- column is a least or a greatest value, which no order can change.
with

calls as (

    select * from {{ source('raw_webhooks', 'calls') }}

),

final as (

    select
        -- ids
        provider,
        account,
        network_call_id as call_id,
        network_call_id,
        min({{ bytewise('channel_id') }}) as channel_id,
        cast(null as text) as conversation_id,

        -- the customer
        cast(null as text) as contact_id,
        min({{ phone_in('phone') }}) as phone,
        min({{ bytewise(clean('bsuid')) }}) as bsuid,

        -- what it was; of what is told before a call's end, accepted and rejected are more than ringing,
        -- and come before it in the alphabet
        coalesce(min(direction) filter (where call_event <> 'status'), min(direction)) as direction,
        coalesce(
            min(status) filter (where call_event = 'terminate'),
            min(status) filter (where call_event = 'status'),
            'ringing'
        ) as status,
        coalesce(bool_or(status = 'accepted'), false) as is_accepted,
        max({{ to_number('duration_seconds') }}) as duration_seconds,

        -- times
        coalesce(
            min({{ to_instant('occurred_at') }}) filter (where call_event = 'connect'),
            min({{ to_instant('occurred_at') }}) filter (where call_event = 'status'),
            min({{ to_instant('session_started_at') }}),
            min({{ to_instant('occurred_at') }})
        ) as started_at,
        min({{ to_instant('session_started_at') }}) as session_started_at,
        coalesce(
            max({{ to_instant('ended_at') }}),
            max({{ to_instant('occurred_at') }}) filter (where call_event = 'terminate')
        ) as ended_at,
        max(received_at) as fetched_at
    from calls
    group by provider, account, network_call_id

)

select * from final
