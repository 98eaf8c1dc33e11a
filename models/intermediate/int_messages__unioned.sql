with

messages as (

    {{ union_rooms('messages') }}

),

-- The newest copy of a message: a row may have been landed more than once.
numbered as (

    select
        *,
        row_number() over (
            partition by provider, account, message_id
            order by fetched_at desc nulls last, occurred_at asc, status asc
        ) as copy_number
    from messages

),

final as (

    select
        *,
        {{ mart_key('numbered', 'message_id') }} as message_key,
        {{ mart_key('numbered', 'conversation_id') }} as conversation_key,
        {{ mart_key('numbered', 'channel_id') }} as channel_key,
        {{ identity_key('numbered') }} as identity_key
    from numbered
    where copy_number = 1

)

select * from final
