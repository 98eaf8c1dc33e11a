{{ config(tags=['clock']) }}

with

known as (

    select * from {{ ref('int_agents__known') }}

),

resources as (

    select distinct
        provider,
        account
    from {{ ref('int_resources__unioned') }}

),

-- An account that was read has one for what nobody known sends, also before anything was sent.
agents as (

    select * from known
    union all
    select
        resources.provider,
        resources.account,
        'unattributed' as agent_id,
        cast(null as text) as name,
        cast(null as text) as email,
        cast(null as text) as role
    from resources
    left join known
        on
            resources.provider = known.provider
            and resources.account = known.account
            and known.agent_id = 'unattributed'
    where known.agent_id is null

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
