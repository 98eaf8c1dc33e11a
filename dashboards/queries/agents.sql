select
    agent_key,
    provider,
    account,
    name
from marts.dim_agents
order by case when agent_id = 'unattributed' then 1 else 0 end, name nulls last, agent_key
