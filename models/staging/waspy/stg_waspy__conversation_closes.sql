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

states as (

    select
        account,
        conversation_id,
        {{ lowered('status') }} in ('resolved', 'closed') as is_closed,
        {{ to_instant('observed_from') }} as observed_from
    from observed
    -- A conversation that Waspy erased was not closed by anybody.
    where {{ lowered('status') }} is distinct from 'deleted'
    union all
    select
        account,
        id as conversation_id,
        {{ lowered('status') }} in ('resolved', 'closed') as is_closed,
        fetched_at as observed_from
    from unobserved

),

followed as (

    select
        *,
        lag(is_closed) over (
            partition by account, conversation_id
            order by observed_from
        ) as was_closed
    from states

),

-- No time of closing is given: a close is known from the moment a sync first saw it.
final as (

    select
        'waspy' as provider,
        account,
        conversation_id,
        observed_from as occurred_at
    from followed
    where is_closed and was_closed is distinct from true

)

select * from final
