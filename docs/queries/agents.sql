-- Who answered how much and how fast, in scope human; `unattributed` is whatever nobody known sent.
select
    coalesce(agents.name, agents.agent_id) as agent,
    count(*) as turns,
    count(turns.response_seconds) as answered,
    percentile_cont(0.5) within group (order by turns.response_seconds) as p50_seconds,
    percentile_cont(0.9) within group (order by turns.response_seconds) as p90_seconds
from marts.fct_turns as turns
left join marts.dim_agents as agents
    on agents.agent_key = coalesce(turns.agent_key, turns.provider || ':' || turns.account || ':unattributed')
where turns.scope = 'human'
group by 1
order by 2 desc, 1
