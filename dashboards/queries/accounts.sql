select
    provider,
    account,
    provider || ':' || account as account_key,
    last_synced_at,
    author_coverage
from marts.dim_accounts
order by provider, account
