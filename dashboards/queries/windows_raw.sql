select
    windows.provider,
    windows.account,
    coalesce(channels.name, channels.channel_id) as channel,
    md5($pepper || windows.thread_key) as thread,
    windows.episode_number,
    windows.opened_at,
    windows.closes_at,
    windows.requests,
    windows.calls,
    windows.first_response_at,
    windows.seconds_left_at_first_response,
    windows.is_answered,
    windows.is_open,
    windows.is_expired_unanswered,
    windows.is_reopened_by_template
from @windows as windows
left join marts.dim_channels as channels on windows.channel_key = channels.channel_key
order by windows.opened_at, windows.window_key
limit $limit
