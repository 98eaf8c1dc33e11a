-- Conversations that are assigned to each agent now, and that ever were.
select
    assignments.agent_key,
    count(*) filter (where assignments.is_active) as active,
    count(*) as assignments
from marts.fct_assignments as assignments
left join marts.fct_conversations as conversations
    on assignments.conversation_key = conversations.conversation_key
where
    ($providers is null or assignments.provider = any($providers))
    and (
        $accounts is null
        or assignments.provider || ':' || assignments.account = any($accounts)
    )
    and ($channels is null or conversations.channel_key = any($channels))
    and ($agents is null or assignments.agent_key = any($agents))
group by assignments.agent_key
order by active desc, agent_key
