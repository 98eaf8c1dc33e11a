with

conversations as (

    select * from {{ ref('int_conversations__unioned') }}

),

identities as (

    select * from {{ ref('int_contacts__identities') }}

),

keyed as (

    select
        conversations.*,
        {{ mart_key('conversations', 'conversation_id') }} as conversation_key,
        {{ mart_key('conversations', 'channel_id') }} as channel_key,
        {{ identity_key('conversations') }} as identity_key
    from conversations

),

final as (

    select
        keyed.*,
        identities.contact_key,
        {{ thread_key('keyed', 'identities', 'conversation_id') }} as thread_key
    from keyed
    left join identities on keyed.identity_key = identities.identity_key

)

select * from final
