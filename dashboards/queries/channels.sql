select
    channel_key,
    provider,
    account,
    coalesce(name, channel_id) as name,
    timezone
from marts.dim_channels
order by provider, account, name, channel_key
