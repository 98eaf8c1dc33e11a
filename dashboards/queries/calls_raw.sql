select
    calls.provider,
    calls.account,
    coalesce(channels.name, channels.channel_id) as channel,
    md5($pepper || calls.thread_key) as thread,
    calls.direction,
    calls.status,
    calls.started_at,
    calls.ended_at,
    calls.duration_seconds,
    calls.is_answered,
    calls.is_missed,
    calls.callback_seconds
from @calls as calls
left join marts.dim_channels as channels on calls.channel_key = channels.channel_key
order by calls.started_at, calls.call_key
limit $limit
