-- Explicit closes, one row per conversation and instant. An end that comes a day or more after the
-- last message is the silence ending it, and closes nothing.
with

seen as (

    {{ union_rooms('conversation_closes') }}

),

ends as (

    select * from {{ ref('stg_webhooks__conversation_events') }}
    where kind = 'ended'

),

messages as (

    select * from {{ ref('int_messages__unioned') }}

),

followed as (

    select
        ends.provider,
        ends.account,
        ends.conversation_id,
        ends.occurred_at,
        greatest(
            max(messages.occurred_at),
            max(ends.last_message_at) filter (where ends.last_message_at <= ends.occurred_at)
        ) as last_message_at
    from ends
    left join messages
        on
            ends.provider = messages.provider
            and ends.account = messages.account
            and ends.conversation_id = messages.conversation_id
            and ends.occurred_at >= messages.occurred_at
    group by 1, 2, 3, 4

),

final as (

    select
        provider,
        account,
        conversation_id,
        occurred_at
    from seen
    union
    select
        provider,
        account,
        conversation_id,
        occurred_at
    from followed
    where occurred_at < last_message_at + interval '24 hours'

)

select * from final
