select
    provider,
    account,
    resource,
    rows,
    last_row_at,
    last_synced_at,
    is_complete,
    last_error
from marts.mart_sync_health
order by provider, account, resource
