-- The turns that wait now, whatever the dates. A waiting turn has no agent yet.
select
    backlog.*,
    case
        when backlog.window_seconds_left > 0 and backlog.window_seconds_left <= 7200 then 'at_risk'
        when backlog.window_seconds_left > 0 then 'open'
        else 'expired'
    end as window_state
from marts.mart_backlog as backlog
where
    backlog.scope = $scope
    and ($providers is null or backlog.provider = any(cast($providers as text [])))
    and (
        $accounts is null
        or backlog.provider || ':' || backlog.account = any(cast($accounts as text []))
    )
    and ($channels is null or backlog.channel_key = any(cast($channels as text [])))
