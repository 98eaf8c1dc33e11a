-- Replies that end several turns of one scope, or that are no reply of that scope.
with

turns as (

    select * from {{ ref('fct_turns') }}
    where {{ is_touched('thread_key') }}

),

messages as (

    select * from {{ ref('fct_messages') }}
    where {{ is_touched('thread_key') }}

),

shared as (

    select reply_message_key
    from turns
    where reply_message_key is not null
    group by reply_message_key, scope
    having count(*) > 1

),

mistaken as (

    select turns.reply_message_key
    from turns
    inner join messages on turns.reply_message_key = messages.message_key
    where
        not messages.is_reply
        or (turns.scope = 'human' and not messages.is_human_reply)
        or messages.occurred_at is distinct from turns.responded_at

),

final as (

    select * from shared
    union all
    select * from mistaken

)

select * from final
