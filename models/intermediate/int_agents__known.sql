-- Everybody who may have answered: listed, named by hand, or only an id in another row.
with

listed as (

    {{ union_rooms('agents') }}

),

named as (

    select * from {{ ref('agents') }}

),

conversations as (

    select * from {{ ref('int_conversations__keyed') }}

),

assignments as (

    select * from {{ ref('int_assignments__unioned') }}

),

messages as (

    select distinct
        provider,
        account,
        agent_id
    from {{ ref('int_messages__classified') }}

),

memberships as (

    select
        *,
        row_number() over (
            partition by provider, account, agent_id
            order by fetched_at desc, {{ bytewise('role') }}, {{ bytewise('name') }}, {{ bytewise('email') }}
        ) as choice
    from listed

),

mentioned as (

    select
        provider,
        account,
        agent_id
    from listed
    union
    select
        provider,
        account,
        agent_id
    from named
    union
    select
        provider,
        account,
        assigned_agent_id as agent_id
    from conversations
    union
    select
        provider,
        account,
        agent_id
    from assignments
    union
    select
        provider,
        account,
        agent_id
    from messages
    union
    -- Whatever was sent by nobody known.
    select
        provider,
        account,
        'unattributed' as agent_id
    from messages

),

final as (

    select
        mentioned.provider,
        mentioned.account,
        mentioned.agent_id,
        coalesce(named.name, memberships.name) as name,
        coalesce(named.email, memberships.email) as email,
        coalesce(named.role, memberships.role) as role
    from mentioned
    left join memberships
        on
            mentioned.provider = memberships.provider
            and mentioned.account = memberships.account
            and mentioned.agent_id = memberships.agent_id
            and memberships.choice = 1
    left join named
        on
            mentioned.provider = named.provider
            and mentioned.account = named.account
            and mentioned.agent_id = named.agent_id
    where mentioned.agent_id is not null

)

select * from final
