select
    'kapso' as provider,
    account,
    resource,
    reason,
    fetched_at as rejected_at
from {{ source('raw_kapso', 'rejected') }}
