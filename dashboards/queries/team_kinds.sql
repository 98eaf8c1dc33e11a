-- Who answered, as far as the provider says: people, bots, unknown.
select
    coalesce(responder_kind, 'unknown') as responder_kind,
    count(*) as answered,
    percentile_cont(0.5) within group (order by seconds) as p50_seconds
from @turns as turns
where outcome = 'answered'
group by 1
order by answered desc, responder_kind
