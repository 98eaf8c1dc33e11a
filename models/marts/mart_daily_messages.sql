with

messages as (

    select * from {{ ref('fct_messages') }}

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

-- A message without a readable time has no day.
dated as (

    select
        messages.*,
        {{ local_day('policies.timezone', 'messages.occurred_at') }} as day,
        {{ wait_between('messages.occurred_at', 'messages.delivered_at') }} as delivery_seconds,
        {{ wait_between('messages.occurred_at', 'messages.read_at') }} as read_seconds
    from messages
    inner join policies
        on {{ same_channel('messages', 'policies') }}
    where messages.occurred_at is not null

),

final as (

    select
        -- the cell
        day,
        provider,
        account,
        channel_key,
        direction,
        message_type,

        -- counts
        count(*) as messages,
        count(*) filter (where status in ('delivered', 'read', 'played')) as delivered,
        count(*) filter (where status in ('read', 'played')) as read,
        count(*) filter (where status = 'failed') as failed,

        -- durations; an empty cell is null
        percentile_cont(0.5) within group (order by delivery_seconds) as p50_delivery_seconds,
        percentile_cont(0.5) within group (order by read_seconds) as p50_read_seconds
    from dated
    group by day, provider, account, channel_key, direction, message_type

)

select * from final
