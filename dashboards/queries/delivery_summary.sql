-- Messages of the business, reactions apart. A status counts once it was reached or passed.
select
    count(*) as outbound,
    count(*) filter (where status in ('delivered', 'read', 'played')) as delivered,
    count(*) filter (where status in ('read', 'played')) as read,
    count(*) filter (where status = 'failed') as failed,
    count(*) filter (where status in ('pending', 'sent')) as on_the_way,
    percentile_cont(0.5) within group (order by seconds_to_delivery) as p50_delivery_seconds,
    percentile_cont(0.5) within group (order by seconds_to_read) as p50_read_seconds,
    count(seconds_to_delivery) as delivery_measured,
    count(seconds_to_read) as read_measured,
    sum(estimated_cost_usd) as estimated_cost_usd,
    count(estimated_cost_usd) as priced
from (
    select
        *,
        -- greatest() alone would make a 0 of what is not known
        case
            when delivered_at is not null and sent_at is not null
                then greatest(extract(epoch from delivered_at) - extract(epoch from sent_at), 0)
        end as seconds_to_delivery,
        case
            when read_at is not null and sent_at is not null
                then greatest(extract(epoch from read_at) - extract(epoch from sent_at), 0)
        end as seconds_to_read
    from @messages as messages
    where direction = 'outbound' and message_type <> 'reaction'
) as outbound
