select
    waiting.provider,
    waiting.account,
    coalesce(channels.name, channels.channel_id) as channel,
    md5($pepper || waiting.thread_key) as thread,
    waiting.scope,
    waiting.started_at,
    waiting.requests,
    waiting.waiting_seconds,
    waiting.window_closes_at,
    waiting.window_seconds_left,
    waiting.sla_status
from @waiting as waiting
left join marts.dim_channels as channels on waiting.channel_key = channels.channel_key
order by waiting.waiting_seconds desc, waiting.turn_key
