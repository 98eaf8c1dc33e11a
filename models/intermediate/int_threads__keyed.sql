{{ by('thread_key') }}

with

messages as (

    select * from {{ ref('int_messages__classified') }}
    {{ where_touched('thread_key') }}

),

calls as (

    select * from {{ ref('int_calls__classified') }}
    {{ where_touched('thread_key') }}

),

conversations as (

    select * from {{ ref('int_conversations__keyed') }}
    {{ where_touched('thread_key') }}

),

threads as (

    select
        thread_key,
        provider,
        account,
        channel_id,
        channel_key,
        contact_key
    from messages
    union
    select
        thread_key,
        provider,
        account,
        channel_id,
        channel_key,
        contact_key
    from calls
    union
    select
        thread_key,
        provider,
        account,
        channel_id,
        channel_key,
        contact_key
    from conversations

),

final as (

    select
        thread_key,
        provider,
        account,
        channel_id,
        channel_key,
        contact_key
    from threads

)

select * from final
