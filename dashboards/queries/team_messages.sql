-- What each agent wrote, as the daily mart counts it.
select
    daily.agent_key,
    sum(daily.messages) as messages
from marts.mart_daily_agents as daily
where
    daily.day between $from_day and $to_day
    and ($providers is null or daily.provider = any($providers))
    and (
        $accounts is null
        or daily.provider || ':' || daily.account = any($accounts)
    )
    and ($agents is null or daily.agent_key = any($agents))
group by daily.agent_key
order by messages desc, daily.agent_key
