with

calls as (

    select * from {{ ref('fct_calls') }}

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

dated as (

    select
        calls.*,
        {{ local_day('policies.timezone', 'calls.started_at') }} as day,
        case when calls.is_answered then calls.duration_seconds end as talk_seconds
    from calls
    inner join policies
        on {{ same_channel('calls', 'policies') }}
    where calls.started_at is not null

),

counted as (

    select
        day,
        provider,
        account,
        channel_key,
        count(*) as calls,
        count(*) filter (where direction = 'inbound') as inbound,
        count(*) filter (where direction = 'outbound') as outbound,
        count(*) filter (where direction = 'inbound' and is_answered) as inbound_answered,
        count(*) filter (where direction = 'outbound' and is_answered) as outbound_answered,
        count(*) filter (where is_missed) as missed,
        count(*) filter (where callback_seconds is not null) as called_back,
        avg(talk_seconds) as avg_duration_seconds,
        percentile_cont(0.5) within group (order by talk_seconds) as p50_duration_seconds,
        percentile_cont(0.5) within group (order by callback_seconds) as p50_callback_seconds
    from dated
    group by day, provider, account, channel_key

),

final as (

    select
        -- the cell
        day,
        provider,
        account,
        channel_key,

        -- counts
        calls,
        inbound,
        outbound,
        inbound_answered,
        outbound_answered,
        missed,
        called_back,

        -- rates of the counts beside them
        {{ share_of('inbound_answered', 'inbound') }} as answer_rate,
        {{ share_of('called_back', 'missed') }} as callback_rate,

        -- durations; an empty cell is null
        avg_duration_seconds,
        p50_duration_seconds,
        p50_callback_seconds
    from counted

)

select * from final
