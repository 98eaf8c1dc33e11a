-- Campaigns that began in the period (days of the team's zone: a campaign has no channel), newest
-- first.
select
    broadcasts.name,
    broadcasts.status,
    broadcasts.started_at,
    broadcasts.recipients,
    broadcasts.sent,
    broadcasts.delivered,
    broadcasts.read,
    broadcasts.responded,
    broadcasts.failed,
    count(*) over () as found
from marts.fct_broadcasts as broadcasts
where
    timezone($timezone, broadcasts.started_at) >= $from_day
    and timezone($timezone, broadcasts.started_at) < $to_day + interval '1 day'
    and ($providers is null or broadcasts.provider = any($providers))
    and (
        $accounts is null
        or broadcasts.provider || ':' || broadcasts.account = any($accounts)
    )
order by broadcasts.started_at desc, broadcasts.broadcast_key
limit $limit
