-- The first day of which the view has data.
select min(day) as first_day
from marts.mart_daily_messages
where
    ($providers is null or provider = any($providers))
    and ($accounts is null or provider || ':' || account = any($accounts))
    and ($channels is null or channel_key = any($channels))
