select
    provider,
    account,
    'webhooks' as resource,
    reason,
    received_at as rejected_at
from {{ source('raw_webhooks', 'rejected') }}
