-- When customers ask: in scope any, whose turns are all that anybody waited for.
with

turns as (

    select * from {{ ref('fct_turns') }}
    where scope = 'any'

),

policies as (

    {{ numbered_channels() }}

),

placed as (

    select
        turns.response_seconds,
        policies.channel_number,
        {{ local_time('policies.timezone', 'turns.started_at') }} as local_start
    from turns
    inner join policies
        on {{ same_channel('turns', 'policies') }}

),

counted as (

    select
        channel_number,
        cast(extract(isodow from local_start) as bigint) as weekday,
        cast(extract(hour from local_start) as bigint) as hour,
        count(*) as turns,
        percentile_cont(0.5) within group (order by response_seconds) as p50_response_seconds
    from placed
    group by 1, 2, 3

),

final as (

    select
        policies.provider,
        policies.account,
        policies.channel_key,
        counted.weekday,
        counted.hour,
        counted.turns,
        counted.p50_response_seconds
    from counted
    inner join policies on counted.channel_number = policies.channel_number

)

select * from final
