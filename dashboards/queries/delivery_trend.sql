select
    cast(date_trunc($grain, local_occurred_at) as date) as bucket,
    count(*) as outbound,
    count(*) filter (where status in ('delivered', 'read', 'played')) as delivered,
    count(*) filter (where status in ('read', 'played')) as read,
    count(*) filter (where status = 'failed') as failed
from @sent as sent
group by bucket
order by bucket
