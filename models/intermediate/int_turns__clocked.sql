-- What depends on the build's clock, and the two ways of counting seconds.
with

turns as (

    select * from {{ ref('int_turns__grouped') }}

),

threads as (

    select * from {{ ref('int_threads__keyed') }}

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

events as (

    select * from {{ ref('int_threads__events') }}

),

business_clock as (

    select * from {{ source('intermediate', 'business_clock') }}

),

openings as (

    select
        thread_key,
        max(occurred_at) as last_opening_at
    from events
    where opens_window and occurred_at <= {{ as_of() }}
    group by thread_key

),

ended as (

    select
        turns.*,
        threads.provider,
        threads.account,
        threads.channel_key,
        threads.contact_key,
        policies.policy,
        policies.timezone,
        policies.sla_clock,
        case
            when turns.session_initiated_by = 'customer' and turns.is_first_in_session
                then policies.first_response_target_seconds
            else policies.response_target_seconds
        end as target_seconds,
        case turns.outcome
            when 'answered' then turns.responded_at
            when 'closed_unanswered' then turns.closed_at
            else greatest({{ as_of() }}, turns.started_at)
        end as ended_at,
        case
            when turns.outcome = 'waiting' then openings.last_opening_at
            else turns.last_opening_at
        end + interval '24 hours' as window_closes_at
    from turns
    inner join threads on turns.thread_key = threads.thread_key
    left join policies
        on
            threads.provider = policies.provider
            and threads.account = policies.account
            and threads.channel_id is not distinct from policies.channel_id
    left join openings on turns.thread_key = openings.thread_key

),

final as (

    select
        ended.*,
        {{ seconds_between('ended.started_at', 'ended.ended_at') }} as elapsed_seconds,
        {{ clock_reading('clock_at_end', 'ended.ended_at') }}
        - {{ clock_reading('clock_at_start', 'ended.started_at') }} as business_elapsed_seconds
    from ended
    left join business_clock as clock_at_start
        on
            ended.policy = clock_at_start.policy
            and {{ utc_day('ended.started_at') }} = clock_at_start.utc_day
            and ended.started_at >= clock_at_start.starts_at
            and ended.started_at < clock_at_start.ends_at
    left join business_clock as clock_at_end
        on
            ended.policy = clock_at_end.policy
            and {{ utc_day('ended.ended_at') }} = clock_at_end.utc_day
            and ended.ended_at >= clock_at_end.starts_at
            and ended.ended_at < clock_at_end.ends_at

)

select * from final
