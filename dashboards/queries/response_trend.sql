select
    cast(date_trunc($grain, local_started_at) as date) as bucket,
    count(*) as turns,
    count(seconds) as measured,
    case when $agents is null then count(*) filter (where outcome = 'waiting') end as waiting,
    percentile_cont(0.5) within group (order by seconds) as p50_seconds,
    percentile_cont(0.9) within group (order by seconds) as p90_seconds,
    bool_or(is_provisional) as is_provisional
from @turns as turns
group by bucket
order by bucket
