-- The template messages that the filters leave, by their local time.
select *
from (
    select
        sends.*,
        timezone(coalesce(channels.timezone, $timezone), sends.occurred_at) as local_occurred_at
    from marts.fct_template_sends as sends
    left join marts.dim_channels as channels on sends.channel_key = channels.channel_key
    where
        ($providers is null or sends.provider = any(cast($providers as text [])))
        and (
            $accounts is null
            or sends.provider || ':' || sends.account = any(cast($accounts as text []))
        )
        and ($channels is null or sends.channel_key = any(cast($channels as text [])))
        and sends.occurred_at >= cast($from_day as date) - interval '2 days'
        and sends.occurred_at < cast($to_day as date) + interval '3 days'
) as dated
where local_occurred_at >= cast($from_day as date) and local_occurred_at < cast($to_day as date) + interval '1 day'
