-- The calls that the filters leave, by their local time.
select *
from (
    select
        calls.*,
        timezone(coalesce(channels.timezone, $timezone), calls.started_at) as local_started_at
    from marts.fct_calls as calls
    left join marts.dim_channels as channels on calls.channel_key = channels.channel_key
    where
        ($providers is null or calls.provider = any(cast($providers as text [])))
        and (
            $accounts is null
            or calls.provider || ':' || calls.account = any(cast($accounts as text []))
        )
        and ($channels is null or calls.channel_key = any(cast($channels as text [])))
        and calls.started_at >= cast($from_day as date) - interval '2 days'
        and calls.started_at < cast($to_day as date) + interval '3 days'
) as dated
where local_started_at >= cast($from_day as date) and local_started_at < cast($to_day as date) + interval '1 day'
