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
    and ($providers is null or backlog.provider = any($providers))
    and (
        $accounts is null
        or backlog.provider || ':' || backlog.account = any($accounts)
    )
    and ($channels is null or backlog.channel_key = any($channels))
