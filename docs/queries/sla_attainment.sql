-- Which share of turns met its target, by month and scope; who waits within the target is in neither.
select
    date_trunc('month', day) as month,
    scope,
    sum(sla_met) as met,
    sum(sla_breached) as breached,
    cast(sum(sla_met) as double precision) / nullif(sum(sla_met) + sum(sla_breached), 0) as attainment
from marts.mart_daily_response_times
group by 1, 2
order by 1, 2
