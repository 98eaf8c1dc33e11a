-- How many 24-hour windows expired without an answer, by month and channel.
select
    date_trunc('month', day) as month,
    channel_key,
    sum(opened) as opened,
    sum(answered) as answered,
    sum(expired_unanswered) as expired_unanswered,
    cast(sum(expired_unanswered) as double precision)
    / nullif(sum(answered) + sum(expired_unanswered), 0) as expired_share
from marts.mart_daily_service_windows
group by 1, 2
order by 1, 2
