select
    provider,
    account,
    resource,
    reason,
    rows,
    last_rejected_at
from marts.mart_quarantine
order by rows desc, provider, account, resource, reason
