with

states as (

    select
        *,
        status in ('resolved', 'closed') as is_closed
    from {{ ref('stg_waspy__conversation_states') }}
    -- A conversation that was erased was not closed by anybody.
    where status is distinct from 'deleted'

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
        provider,
        account,
        conversation_id,
        observed_from as occurred_at
    from followed
    where is_closed and was_closed is distinct from true

)

select * from final
