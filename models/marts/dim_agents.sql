with

agents as (

    select * from {{ ref('int_agents__known') }}

),

final as (

    select
        {{ mart_key('agents', 'agent_id') }} as agent_key,
        provider,
        account,
        agent_id,
        name,
        email,
        role
    from agents

)

select * from final
