-- When customers ask: in scope any, whose turns are all that anybody waited for.
with

turns as (

    select * from {{ ref('fct_turns') }}
    where scope = 'any'

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

placed as (

    select
        turns.*,
        {{ local_time('policies.timezone', 'turns.started_at') }} as local_start
    from turns
    inner join policies
        on {{ same_channel('turns', 'policies') }}

),

final as (

    select
        provider,
        account,
        channel_key,
        cast(extract(isodow from local_start) as bigint) as weekday,
        cast(extract(hour from local_start) as bigint) as hour,
        count(*) as turns,
        percentile_cont(0.5) within group (order by response_seconds) as p50_response_seconds
    from placed
    group by 1, 2, 3, 4, 5

)

select * from final
