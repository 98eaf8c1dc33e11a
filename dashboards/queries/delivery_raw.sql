select
    messages.provider,
    messages.account,
    channels.name as channel,
    md5($pepper || messages.thread_key) as thread,
    messages.message_type,
    messages.sender_kind,
    messages.occurred_at,
    messages.status,
    messages.sent_at,
    messages.delivered_at,
    messages.read_at,
    case
        when messages.delivered_at - messages.sent_at is not null
            then greatest(extract(epoch from messages.delivered_at - messages.sent_at), 0)
    end as delivery_seconds,
    case
        when messages.read_at - messages.sent_at is not null
            then greatest(extract(epoch from messages.read_at - messages.sent_at), 0)
    end as read_seconds,
    messages.error_code,
    messages.pricing_category,
    messages.estimated_cost_usd
from @messages as messages
left join marts.dim_channels as channels on messages.channel_key = channels.channel_key
where messages.direction = 'outbound' and messages.message_type <> 'reaction'
order by messages.occurred_at, messages.message_key
limit $limit
