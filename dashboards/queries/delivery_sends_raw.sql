-- One row per template message.
select
    sends.provider,
    sends.account,
    coalesce(channels.name, channels.channel_id) as channel,
    md5($pepper || sends.thread_key) as thread,
    coalesce(templates.name, sends.template_key, 'unknown') as template,
    templates.language,
    templates.category,
    sends.broadcast_id,
    sends.occurred_at,
    sends.is_delivered,
    sends.is_read,
    sends.is_failed,
    sends.replied_at,
    extract(epoch from sends.replied_at - sends.occurred_at) as reply_seconds,
    sends.estimated_cost_usd
from @sends as sends
left join marts.dim_channels as channels on sends.channel_key = channels.channel_key
left join marts.dim_templates as templates
    on sends.template_key = templates.template_key and templates.is_current
order by sends.occurred_at, sends.message_key
limit $limit
