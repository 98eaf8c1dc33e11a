{{ config(tags=['clock']) }}

with

turns as (

    select * from {{ ref('fct_turns') }}

),

policies as (

    {{ numbered_channels() }}

),

dated as (

    select
        turns.*,
        policies.channel_number,
        {{ local_day('policies.timezone', 'turns.started_at') }} as day,
        turns.is_first_response and turns.outcome = 'answered' as is_first_answer
    from turns
    inner join policies
        on {{ same_channel('turns', 'policies') }}

),

counted as (

    select
        day,
        channel_number,
        scope,

        -- counts
        count(*) as turns,
        count(*) filter (where outcome = 'answered') as answered,
        count(*) filter (where outcome = 'waiting') as waiting,
        count(*) filter (where outcome = 'closed_unanswered') as closed_unanswered,
        count(*) filter (where is_first_answer) as first_responses,

        -- durations; an empty cell is null. Each list is put in order once, for all its percentiles.
        percentile_cont(0.5) within group (
            order by case when is_first_answer then response_seconds end
        ) as p50_first_response_seconds,
        avg(response_seconds) as avg_response_seconds,
        percentile_cont(array[0.5, 0.9, 0.95]) within group (order by response_seconds) as response_percentiles,
        percentile_cont(array[0.5, 0.9]) within group (order by business_response_seconds) as business_percentiles,

        -- shares: these are the denominators and numerators
        count(*) filter (where is_mature) as mature,
        count(*) filter (where is_answered_in_window) as answered_in_window,
        count(*) filter (where sla_status = 'met') as sla_met,
        count(*) filter (where sla_status = 'breached') as sla_breached
    from dated
    group by day, channel_number, scope

),

final as (

    select
        -- the cell
        counted.day,
        policies.provider,
        policies.account,
        policies.channel_key,
        counted.scope,

        -- what is in it
        counted.turns,
        counted.answered,
        counted.waiting,
        counted.closed_unanswered,
        counted.first_responses,
        counted.p50_first_response_seconds,
        counted.avg_response_seconds,
        counted.response_percentiles[1] as p50_response_seconds,
        counted.response_percentiles[2] as p90_response_seconds,
        counted.response_percentiles[3] as p95_response_seconds,
        counted.business_percentiles[1] as p50_business_response_seconds,
        counted.business_percentiles[2] as p90_business_response_seconds,
        counted.mature,
        counted.answered_in_window,
        counted.sla_met,
        counted.sla_breached,

        -- the day's last instant is its next midnight
        {{ local_time('policies.timezone', "cast(counted.day as timestamp) + interval '1 day'") }}
        > {{ as_of() }} - interval '168 hours' as is_provisional
    from counted
    inner join policies on counted.channel_number = policies.channel_number

)

select * from final
