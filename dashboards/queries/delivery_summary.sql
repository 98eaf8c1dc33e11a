-- What the business sent. A status counts once it was reached or passed.
select
    count(*) as outbound,
    count(*) filter (where status in ('delivered', 'read', 'played')) as delivered,
    count(*) filter (where status in ('read', 'played')) as read,
    count(*) filter (where status = 'failed') as failed,
    count(*) filter (where status in ('pending', 'sent')) as on_the_way,
    percentile_cont(0.5) within group (order by delivery_seconds) as p50_delivery_seconds,
    percentile_cont(0.5) within group (order by read_seconds) as p50_read_seconds,
    count(delivery_seconds) as delivery_measured,
    count(read_seconds) as read_measured,
    sum(estimated_cost_usd) as estimated_cost_usd,
    count(*) filter (where estimated_cost_usd > 0) as charged
from @sent as sent
