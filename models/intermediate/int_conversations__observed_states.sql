with

states as (

    {{ union_rooms('conversation_states') }}

),

keyed as (

    select
        *,
        {{ mart_key('states', 'conversation_id') }} as conversation_key
    from states

),

-- A state became true at some time after the one before it was last seen, and was first seen here.
final as (

    select
        conversation_key,
        provider,
        account,
        conversation_id,
        status,
        assigned_agent_id,
        observed_from,
        lead(observed_from) over in_order as observed_to
    from keyed
    window in_order as (partition by conversation_key order by observed_from)

)

select * from final
