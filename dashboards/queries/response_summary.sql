-- The turns that began in the period. Percentiles are over the turns, never over days. What nobody
-- answered is no agent's: with one chosen its number is not known, which is not 0.
select
    count(*) as turns,
    count(*) filter (where outcome = 'answered') as answered,
    count(seconds) as measured,
    case when $agents is null then count(*) filter (where outcome = 'waiting') end as waiting,
    case when $agents is null then count(*) filter (where outcome = 'closed_unanswered') end as closed_unanswered,
    percentile_cont(0.5) within group (order by seconds) as p50_seconds,
    percentile_cont(0.9) within group (order by seconds) as p90_seconds,
    count(*) filter (where sla_status = 'met') as sla_met,
    count(*) filter (where sla_status = 'breached') as sla_breached,
    count(*) filter (where is_mature) as mature,
    count(*) filter (where is_answered_in_window) as answered_in_window
from @turns as turns
