-- The agent of a turn is the sender of the message that answered it. Nobody known: the account's
-- `unattributed`, so that the rows add up to all the answered turns.
select
    turns.agent_key,
    count(*) as answered,
    count(distinct turns.thread_key) as threads,
    percentile_cont(0.5) within group (order by turns.seconds) as p50_seconds,
    percentile_cont(0.9) within group (order by turns.seconds) as p90_seconds,
    count(*) filter (where turns.sla_status = 'met') as sla_met,
    count(*) filter (where turns.sla_status = 'breached') as sla_breached
from @turns as turns
where turns.outcome = 'answered'
group by turns.agent_key
order by answered desc, turns.agent_key
