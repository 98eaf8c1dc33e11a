-- The service windows that the filters leave, by the local day they opened.
select
    windows.*,
    timezone(coalesce(channels.timezone, $timezone), windows.opened_at) as local_opened_at
from marts.fct_service_windows as windows
left join marts.dim_channels as channels on windows.channel_key = channels.channel_key
where
    ($providers is null or windows.provider = any($providers))
    and (
        $accounts is null
        or windows.provider || ':' || windows.account = any($accounts)
    )
    and ($channels is null or windows.channel_key = any($channels))
    and windows.opened_at >= $from_day - interval '2 days'
    and windows.opened_at < $to_day + interval '3 days'
    -- no zone is a day from UTC: only near the ends of the view the local time can decide
    and (
        (
            windows.opened_at >= $from_day + interval '2 days'
            and windows.opened_at < $to_day - interval '2 days'
        )
        or (
            timezone(coalesce(channels.timezone, $timezone), windows.opened_at) >= $from_day
            and timezone(coalesce(channels.timezone, $timezone), windows.opened_at)
            < $to_day + interval '1 day'
        )
    )
