select
    coalesce(channels.name, channels.channel_id) as channel,
    count(*) as opened,
    count(*) filter (where windows.is_answered) as answered,
    count(*) filter (where windows.is_expired_unanswered) as expired_unanswered,
    count(*) filter (where windows.is_reopened_by_template) as reopened_by_template,
    percentile_cont(0.5) within group (order by windows.seconds_left_at_first_response)
        as p50_seconds_left
from @windows as windows
left join marts.dim_channels as channels on windows.channel_key = channels.channel_key
group by windows.channel_key, channel
order by expired_unanswered desc, channel
