-- The template messages that the filters leave, by their local time.
select
    sends.*,
    timezone(coalesce(channels.timezone, $timezone), sends.occurred_at) as local_occurred_at
from marts.fct_template_sends as sends
left join marts.dim_channels as channels on sends.channel_key = channels.channel_key
where
    ($providers is null or sends.provider = any($providers))
    and (
        $accounts is null
        or sends.provider || ':' || sends.account = any($accounts)
    )
    and ($channels is null or sends.channel_key = any($channels))
    and sends.occurred_at >= $from_day - interval '2 days'
    and sends.occurred_at < $to_day + interval '3 days'
    -- no zone is a day from UTC: only near the ends of the view the local time can decide
    and (
        (
            sends.occurred_at >= $from_day + interval '2 days'
            and sends.occurred_at < $to_day - interval '2 days'
        )
        or (
            timezone(coalesce(channels.timezone, $timezone), sends.occurred_at) >= $from_day
            and timezone(coalesce(channels.timezone, $timezone), sends.occurred_at)
            < $to_day + interval '1 day'
        )
    )
