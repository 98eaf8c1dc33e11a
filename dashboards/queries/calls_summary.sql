-- Talk time is of calls that were picked up: a missed one may come with a duration of 0.
select
    count(*) as calls,
    count(*) filter (where direction = 'inbound') as inbound,
    count(*) filter (where direction = 'outbound') as outbound,
    count(*) filter (where direction = 'inbound' and is_answered) as answered_inbound,
    count(*) filter (where is_missed) as missed,
    count(callback_seconds) as called_back,
    count(duration_seconds) filter (where is_answered) as talks,
    percentile_cont(0.5) within group (order by callback_seconds) as p50_callback_seconds,
    percentile_cont(0.5) within group (
        order by case when is_answered then duration_seconds end
    ) as p50_duration_seconds
from @calls as calls
