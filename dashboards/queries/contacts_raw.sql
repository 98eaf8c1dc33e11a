-- One row per thread in which somebody wrote.
select
    messages.provider,
    messages.account,
    coalesce(channels.name, channels.channel_id) as channel,
    md5($pepper || messages.thread_key) as thread,
    min(messages.occurred_at) as first_request_at,
    max(messages.occurred_at) as last_request_at,
    count(*) as requests
from @messages as messages
left join marts.dim_channels as channels on messages.channel_key = channels.channel_key
where messages.is_request
group by messages.provider, messages.account, channel, messages.thread_key
order by first_request_at, thread
limit $limit
