-- What is known of each account. A sync of other lists, or one that failed, reads no messages: how fresh
-- the numbers are is told by the last one that did.
select
    accounts.provider,
    accounts.account,
    accounts.provider || ':' || accounts.account as account_key,
    health.last_synced_at as messages_read_at,
    accounts.author_coverage
from marts.dim_accounts as accounts
left join marts.mart_sync_health as health
    on
        accounts.provider = health.provider
        and accounts.account = health.account
        and health.resource = 'messages'
order by accounts.provider, accounts.account
