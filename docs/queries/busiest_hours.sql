-- When customers ask, on the channel's own clock, and how long they wait at that hour.
select
    channel_key,
    weekday,
    hour,
    turns,
    p50_response_seconds
from marts.mart_hourly_load
order by turns desc, channel_key, weekday, hour
limit 20
