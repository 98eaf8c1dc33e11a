-- Accounts whose agents have more or fewer turns, or messages of people, than there are.
with

agents as (

    select
        provider,
        account,
        sum(turns) as turns,
        sum(answered) as answered,
        sum(messages) as messages
    from {{ ref('mart_daily_agents') }}
    group by provider, account

),

turns as (

    select
        provider,
        account,
        count(*) as turns,
        count(responded_at) as answered
    from {{ ref('fct_turns') }}
    where scope = 'human'
    group by provider, account

),

people as (

    select
        provider,
        account,
        count(*) as messages
    from {{ ref('fct_messages') }}
    where direction = 'outbound' and sender_kind = 'human' and occurred_at is not null
    group by provider, account

),

final as (

    select
        coalesce(agents.provider, turns.provider) as provider,
        coalesce(agents.account, turns.account) as account
    from agents
    full outer join turns
        on
            agents.provider = turns.provider
            and agents.account = turns.account
    left join people
        on
            agents.provider = people.provider
            and agents.account = people.account
    where
        coalesce(agents.turns, 0) <> coalesce(turns.turns, 0)
        or coalesce(agents.answered, 0) <> coalesce(turns.answered, 0)
        or coalesce(agents.messages, 0) < coalesce(people.messages, 0)

)

select * from final
