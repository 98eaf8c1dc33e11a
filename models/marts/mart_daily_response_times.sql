{{ config(tags=['clock']) }}

with

turns as (

    select * from {{ ref('fct_turns') }}

),

threads as (

    select * from {{ ref('int_threads__keyed') }}

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

dated as (

    select
        turns.*,
        policies.timezone,
        cast({{ local_time('policies.timezone', 'turns.started_at') }} as date) as day,
        turns.is_first_response and turns.outcome = 'answered' as is_first_answer
    from turns
    inner join threads on turns.thread_key = threads.thread_key
    inner join policies
        on
            threads.provider = policies.provider
            and threads.account = policies.account
            and threads.channel_id is not distinct from policies.channel_id

),

final as (

    select
        -- the cell
        day,
        provider,
        account,
        channel_key,
        scope,

        -- counts
        count(*) as turns,
        count(*) filter (where outcome = 'answered') as answered,
        count(*) filter (where outcome = 'waiting') as waiting,
        count(*) filter (where outcome = 'closed_unanswered') as closed_unanswered,
        count(*) filter (where is_first_answer) as first_responses,

        -- durations; an empty cell is null
        percentile_cont(0.5) within group (
            order by case when is_first_answer then response_seconds end
        ) as p50_first_response_seconds,
        avg(response_seconds) as avg_response_seconds,
        percentile_cont(0.5) within group (order by response_seconds) as p50_response_seconds,
        percentile_cont(0.9) within group (order by response_seconds) as p90_response_seconds,
        percentile_cont(0.95) within group (order by response_seconds) as p95_response_seconds,
        percentile_cont(0.5) within group (order by business_response_seconds) as p50_business_response_seconds,
        percentile_cont(0.9) within group (order by business_response_seconds) as p90_business_response_seconds,

        -- shares: these are the denominators and numerators
        count(*) filter (where is_mature) as mature,
        count(*) filter (where is_answered_in_window) as answered_in_window,
        count(*) filter (where sla_status = 'met') as sla_met,
        count(*) filter (where sla_status = 'breached') as sla_breached,

        -- the day's last instant is its next midnight
        {{ local_time('timezone', "cast(day as timestamp) + interval '1 day'") }}
        > {{ as_of() }} - interval '168 hours' as is_provisional
    from dated
    group by day, provider, account, channel_key, scope, timezone

)

select * from final
