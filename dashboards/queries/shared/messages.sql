-- The messages that the filters leave, by their local time.
select *
from (
    select
        messages.*,
        timezone(coalesce(channels.timezone, $timezone), messages.occurred_at) as local_occurred_at
    from marts.fct_messages as messages
    left join marts.dim_channels as channels on messages.channel_key = channels.channel_key
    where
        ($providers is null or messages.provider = any(cast($providers as text [])))
        and (
            $accounts is null
            or messages.provider || ':' || messages.account = any(cast($accounts as text []))
        )
        and ($channels is null or messages.channel_key = any(cast($channels as text [])))
        and messages.occurred_at >= cast($from_day as date) - interval '2 days'
        and messages.occurred_at < cast($to_day as date) + interval '3 days'
) as dated
where local_occurred_at >= cast($from_day as date) and local_occurred_at < cast($to_day as date) + interval '1 day'
