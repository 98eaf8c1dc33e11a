-- Delivery and reading of what the business sent, by month. Receipts can be off: the read rate is a
-- lower bound. A reaction has neither.
select
    date_trunc('month', day) as month,
    sum(messages) as messages,
    sum(delivered) as delivered,
    sum(read) as read,
    sum(failed) as failed,
    cast(sum(delivered) as double precision) / nullif(sum(messages), 0) as delivery_rate,
    cast(sum(read) as double precision) / nullif(sum(delivered), 0) as read_rate
from marts.mart_daily_messages
where direction = 'outbound' and message_type is distinct from 'reaction'
group by 1
order by 1
