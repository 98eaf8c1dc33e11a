select
    sent.provider,
    sent.account,
    coalesce(channels.name, channels.channel_id) as channel,
    md5($pepper || sent.thread_key) as thread,
    sent.message_type,
    sent.sender_kind,
    sent.occurred_at,
    sent.status,
    sent.sent_at,
    sent.delivered_at,
    sent.read_at,
    sent.delivery_seconds,
    sent.read_seconds,
    sent.error_code,
    sent.pricing_category,
    sent.estimated_cost_usd
from @sent as sent
left join marts.dim_channels as channels on sent.channel_key = channels.channel_key
order by sent.occurred_at, sent.message_key
limit $limit
