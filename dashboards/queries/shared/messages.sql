-- The messages that the filters leave, by their local time.
select
    messages.*,
    timezone(coalesce(channels.timezone, $timezone), messages.occurred_at) as local_occurred_at
from marts.fct_messages as messages
left join marts.dim_channels as channels on messages.channel_key = channels.channel_key
where
    ($providers is null or messages.provider = any($providers))
    and (
        $accounts is null
        or messages.provider || ':' || messages.account = any($accounts)
    )
    and ($channels is null or messages.channel_key = any($channels))
    and messages.occurred_at >= $from_day - interval '2 days'
    and messages.occurred_at < $to_day + interval '3 days'
    -- no zone is a day from UTC: only near the ends of the view the local time can decide, which is
    -- slow to find for millions of rows
    and (
        (
            messages.occurred_at >= $from_day + interval '2 days'
            and messages.occurred_at < $to_day - interval '2 days'
        )
        or (
            timezone(coalesce(channels.timezone, $timezone), messages.occurred_at) >= $from_day
            and timezone(coalesce(channels.timezone, $timezone), messages.occurred_at)
            < $to_day + interval '1 day'
        )
    )
