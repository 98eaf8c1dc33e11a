with

observed as (

    select * from {{ source('raw_waspy', 'conversation_states') }}

),

conversations as (

    select * from {{ source('raw_waspy', 'conversations') }}

),

-- A conversation that no sync has noted a state of: what its row says, since it was read.
unobserved as (

    select conversations.*
    from conversations
    left join observed
        on
            conversations.account = observed.account
            and conversations.id = observed.conversation_id
    where observed.conversation_id is null

),

final as (

    select
        'waspy' as provider,
        account,
        conversation_id,
        {{ lowered('status') }} as status,
        {{ clean('assigned_to') }} as assigned_agent_id,
        {{ to_instant('observed_from') }} as observed_from
    from observed
    union all
    select
        'waspy' as provider,
        account,
        id as conversation_id,
        {{ lowered('status') }} as status,
        {{ clean('assigned_to') }} as assigned_agent_id,
        fetched_at as observed_from
    from unobserved

)

select * from final
