-- The turns that the filters leave, with the seconds of the chosen clock and their local time.
select
    turns.*,
    case
        when $clock = 'business' then turns.business_response_seconds
        else turns.response_seconds
    end as seconds,
    timezone(coalesce(channels.timezone, $timezone), turns.started_at) as local_started_at
from marts.fct_turns as turns
left join marts.dim_channels as channels on turns.channel_key = channels.channel_key
where
    turns.scope = $scope
    and (not $only_first or turns.is_first_response)
    and ($providers is null or turns.provider = any($providers))
    and (
        $accounts is null
        or turns.provider || ':' || turns.account = any($accounts)
    )
    and ($channels is null or turns.channel_key = any($channels))
    and ($agents is null or turns.agent_key = any($agents))
    and turns.started_at >= $from_day - interval '2 days'
    and turns.started_at < $to_day + interval '3 days'
    -- no zone is a day from UTC: only near the ends of the view the local time can decide
    and (
        (
            turns.started_at >= $from_day + interval '2 days'
            and turns.started_at < $to_day - interval '2 days'
        )
        or (
            timezone(coalesce(channels.timezone, $timezone), turns.started_at) >= $from_day
            and timezone(coalesce(channels.timezone, $timezone), turns.started_at)
            < $to_day + interval '1 day'
        )
    )
