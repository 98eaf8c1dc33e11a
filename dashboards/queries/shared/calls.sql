-- The calls that the filters leave, by their local time.
select
    calls.*,
    timezone(coalesce(channels.timezone, $timezone), calls.started_at) as local_started_at
from marts.fct_calls as calls
left join marts.dim_channels as channels on calls.channel_key = channels.channel_key
where
    ($providers is null or calls.provider = any($providers))
    and (
        $accounts is null
        or calls.provider || ':' || calls.account = any($accounts)
    )
    and ($channels is null or calls.channel_key = any($channels))
    and calls.started_at >= $from_day - interval '2 days'
    and calls.started_at < $to_day + interval '3 days'
    -- no zone is a day from UTC: only near the ends of the view the local time can decide
    and (
        (
            calls.started_at >= $from_day + interval '2 days'
            and calls.started_at < $to_day - interval '2 days'
        )
        or (
            timezone(coalesce(channels.timezone, $timezone), calls.started_at) >= $from_day
            and timezone(coalesce(channels.timezone, $timezone), calls.started_at)
            < $to_day + interval '1 day'
        )
    )
