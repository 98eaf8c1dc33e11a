select
    cast(date_trunc($grain, local_started_at) as date) as bucket,
    count(*) filter (where direction = 'inbound' and is_answered) as answered_inbound,
    count(*) filter (where is_missed) as missed,
    count(*) filter (where direction = 'outbound') as outbound
from @calls as calls
group by bucket
order by bucket
