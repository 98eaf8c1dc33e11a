with

messages as (

    select * from {{ ref('fct_messages') }}

),

policies as (

    {{ numbered_channels() }}

),

-- A message without a readable time has no day.
dated as (

    select
        messages.direction,
        messages.message_type,
        messages.status,
        policies.channel_number,
        {{ local_day('policies.timezone', 'messages.occurred_at') }} as day,
        {{ wait_between('messages.occurred_at', 'messages.delivered_at') }} as delivery_seconds,
        {{ wait_between('messages.occurred_at', 'messages.read_at') }} as read_seconds
    from messages
    inner join policies
        on {{ same_channel('messages', 'policies') }}
    where messages.occurred_at is not null

),

counted as (

    select
        day,
        channel_number,
        direction,
        message_type,
        count(*) as messages,
        count(*) filter (where status in ('delivered', 'read', 'played')) as delivered,
        count(*) filter (where status in ('read', 'played')) as read,
        count(*) filter (where status = 'failed') as failed,
        percentile_cont(0.5) within group (order by delivery_seconds) as p50_delivery_seconds,
        percentile_cont(0.5) within group (order by read_seconds) as p50_read_seconds
    from dated
    group by day, channel_number, direction, message_type

),

final as (

    select
        -- the cell
        counted.day,
        policies.provider,
        policies.account,
        policies.channel_key,
        counted.direction,
        counted.message_type,

        -- counts
        counted.messages,
        counted.delivered,
        counted.read,
        counted.failed,

        -- durations; an empty cell is null
        counted.p50_delivery_seconds,
        counted.p50_read_seconds
    from counted
    inner join policies on counted.channel_number = policies.channel_number

)

select * from final
