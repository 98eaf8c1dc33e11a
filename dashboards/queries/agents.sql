select
    agent_key,
    coalesce(name, agent_id) as name,
    provider,
    account
from marts.dim_agents
order by name, agent_key
