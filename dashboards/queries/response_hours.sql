-- Local weekday (1 = Monday) and hour in which the customer began to wait.
select
    cast(extract(isodow from local_started_at) as integer) as weekday,
    cast(extract(hour from local_started_at) as integer) as hour,
    count(*) as turns,
    count(seconds) as measured,
    percentile_cont(0.5) within group (order by seconds) as p50_seconds
from @turns as turns
group by weekday, hour
order by weekday, hour
