-- Template messages from sent to replied: each step is part of the one before it.
select
    count(*) as sent,
    count(*) filter (where is_delivered) as delivered,
    count(*) filter (where is_read) as read,
    count(replied_at) as replied,
    count(*) filter (where is_failed) as failed,
    sum(estimated_cost_usd) as estimated_cost_usd
from @sends as sends
