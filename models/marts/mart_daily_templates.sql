with

sends as (

    select * from {{ ref('fct_template_sends') }}

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

dated as (

    select
        sends.*,
        {{ local_day('policies.timezone', 'sends.occurred_at') }} as day,
        {{ wait_between('sends.occurred_at', 'sends.replied_at') }} as reply_seconds
    from sends
    inner join policies
        on {{ same_channel('sends', 'policies') }}
    where sends.occurred_at is not null

),

counted as (

    select
        day,
        provider,
        account,
        template_key,
        count(*) as sends,
        count(*) filter (where is_delivered) as delivered,
        count(*) filter (where is_read) as read,
        count(*) filter (where is_failed) as failed,
        count(*) filter (where replied_at is not null) as replied,
        percentile_cont(0.5) within group (order by reply_seconds) as p50_reply_seconds,
        sum(estimated_cost_usd) as estimated_cost_usd
    from dated
    group by day, provider, account, template_key

),

final as (

    select
        -- the cell
        day,
        provider,
        account,
        template_key,

        -- counts
        sends,
        delivered,
        read,
        failed,
        replied,

        -- rates of the counts beside them
        {{ share_of('delivered', 'sends') }} as delivery_rate,
        {{ share_of('read', 'delivered') }} as read_rate,
        {{ share_of('failed', 'sends') }} as failure_rate,
        {{ share_of('replied', 'sends') }} as reply_rate,

        -- durations and cost; an empty cell is null
        p50_reply_seconds,
        estimated_cost_usd
    from counted

)

select * from final
