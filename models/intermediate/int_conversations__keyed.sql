{{ by('conversation_id', notes=['thread_key', 'conversation_key']) }}

with

conversations as (

    select * from {{ ref('int_conversations__unioned') }}
    {{ where_touched('conversation_id') }}

),

identities as (

    select * from {{ ref('int_contacts__identities') }}

),

final as (

    select
        conversations.*,
        identities.contact_key,
        {{ thread_key('conversations', 'identities', 'conversation_id') }} as thread_key
    from conversations
    left join identities on conversations.identity_key = identities.identity_key

)

select * from final
