-- Conversations that are assigned now.
select
    assignments.agent_key,
    count(*) filter (where assignments.is_active) as active,
    count(*) as assignments
from marts.fct_assignments as assignments
where
    ($providers is null or assignments.provider = any($providers))
    and (
        $accounts is null
        or assignments.provider || ':' || assignments.account = any($accounts)
    )
    and ($agents is null or assignments.agent_key = any($agents))
group by assignments.agent_key
order by active desc, agent_key
