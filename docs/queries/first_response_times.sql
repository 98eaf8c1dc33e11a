-- How fast was the first answer, by channel, over the last 30 days: any answer, and a person's.
select
    coalesce(channels.name, turns.channel_key, 'unknown') as channel,
    turns.scope,
    count(*) as first_requests,
    count(turns.response_seconds) as answered,
    count(*) filter (where turns.outcome = 'waiting') as waiting,
    percentile_cont(0.5) within group (order by turns.response_seconds) as p50_seconds,
    percentile_cont(0.9) within group (order by turns.response_seconds) as p90_seconds
from marts.fct_turns as turns
left join marts.dim_channels as channels on turns.channel_key = channels.channel_key
where
    turns.is_first_response
    and turns.started_at >= (select max(started_at) from marts.fct_turns) - interval '30 days'
group by 1, 2
order by 1, 2
