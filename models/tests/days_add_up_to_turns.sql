-- Scopes whose days hold more or fewer turns than there are.
with

days as (

    select
        scope,
        sum(turns) as turns,
        sum(answered + waiting + closed_unanswered) as outcomes
    from {{ ref('mart_daily_response_times') }}
    group by scope

),

facts as (

    select
        scope,
        count(*) as turns
    from {{ ref('fct_turns') }}
    group by scope

),

final as (

    select coalesce(days.scope, facts.scope) as scope
    from days
    full outer join facts on days.scope = facts.scope
    where
        days.turns is distinct from facts.turns
        or days.outcomes is distinct from facts.turns

)

select * from final
