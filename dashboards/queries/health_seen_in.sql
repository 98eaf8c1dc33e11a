-- How the messages got here: through the API, a webhook, or both.
select
    provider,
    account,
    coalesce(seen_in, 'unknown') as seen_in,
    count(*) as messages
from @messages as messages
group by provider, account, 3
order by provider, account, seen_in
