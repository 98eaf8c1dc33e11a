{{ config(materialized='view') }}

with

messages as (

    select * from {{ ref('int_messages__classified') }}

),

calls as (

    select * from {{ ref('int_calls__classified') }}

),

conversations as (

    select * from {{ ref('int_conversations__keyed') }}

),

closes as (

    select * from {{ ref('int_conversations__closed') }}

),

message_events as (

    select
        thread_key,
        occurred_at,
        case when direction = 'inbound' then 0 else 1 end as rank_in_instant,
        position,
        message_id as event_id,
        'message' as event_kind,
        message_key,
        conversation_key,
        direction,
        sender_kind,
        agent_id,
        is_template,
        is_request,
        is_reply,
        is_reply and sender_kind = 'human' as is_human_reply,
        opens_window,
        is_business_message
    from messages
    where is_live

),

call_events as (

    select
        thread_key,
        opened_window_at as occurred_at,
        0 as rank_in_instant,
        cast(null as bigint) as position,
        call_id as event_id,
        'call' as event_kind,
        cast(null as text) as message_key,
        cast(null as text) as conversation_key,
        direction,
        cast(null as text) as sender_kind,
        cast(null as text) as agent_id,
        false as is_template,
        false as is_request,
        false as is_reply,
        false as is_human_reply,
        true as opens_window,
        false as is_business_message
    from calls
    where opens_window and opened_window_at is not null

),

-- A close comes after everything of its instant.
close_events as (

    select
        conversations.thread_key,
        closes.occurred_at,
        2 as rank_in_instant,
        cast(null as bigint) as position,
        closes.conversation_id as event_id,
        'close' as event_kind,
        cast(null as text) as message_key,
        conversations.conversation_key,
        cast(null as text) as direction,
        cast(null as text) as sender_kind,
        cast(null as text) as agent_id,
        false as is_template,
        false as is_request,
        false as is_reply,
        false as is_human_reply,
        false as opens_window,
        false as is_business_message
    from closes
    inner join conversations
        on
            closes.provider = conversations.provider
            and closes.account = conversations.account
            and closes.conversation_id = conversations.conversation_id
    where closes.occurred_at is not null

),

final as (

    select * from message_events
    union all
    select * from call_events
    union all
    select * from close_events

)

select * from final
