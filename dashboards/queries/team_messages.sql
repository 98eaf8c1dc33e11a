-- What each agent wrote, as the daily mart counts it.
select
    daily.agent_key,
    sum(daily.messages) as messages
from marts.mart_daily_agents as daily
where
    daily.day between cast($from_day as date) and cast($to_day as date)
    and ($providers is null or daily.provider = any(cast($providers as text [])))
    and (
        $accounts is null
        or daily.provider || ':' || daily.account = any(cast($accounts as text []))
    )
group by daily.agent_key
order by daily.agent_key
