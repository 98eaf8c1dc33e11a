-- The service windows that the filters leave, by the local day they opened.
select *
from (
    select
        windows.*,
        timezone(coalesce(channels.timezone, $timezone), windows.opened_at) as local_opened_at
    from marts.fct_service_windows as windows
    left join marts.dim_channels as channels on windows.channel_key = channels.channel_key
    where
        ($providers is null or windows.provider = any(cast($providers as text [])))
        and (
            $accounts is null
            or windows.provider || ':' || windows.account = any(cast($accounts as text []))
        )
        and ($channels is null or windows.channel_key = any(cast($channels as text [])))
        and windows.opened_at >= cast($from_day as date) - interval '2 days'
        and windows.opened_at < cast($to_day as date) + interval '3 days'
) as dated
where local_opened_at >= cast($from_day as date) and local_opened_at < cast($to_day as date) + interval '1 day'
