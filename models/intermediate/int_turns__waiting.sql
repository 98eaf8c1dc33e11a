-- Turns that wait: one per thread and scope at most, made anew on every build, since all that is
-- said of them moves with its clock.
{{ config(tags=['clock']) }}

with

turns as (

    select * from {{ ref('int_turns__grouped') }}
    where outcome = 'waiting'

),

events as (

    select * from {{ ref('int_threads__events') }}

),

targeted as (

    {{ with_policies('turns') }}

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
        targeted.*,
        greatest({{ as_of() }}, targeted.started_at) as ended_at,
        openings.last_opening_at + interval '24 hours' as window_closes_at
    from targeted
    left join openings on targeted.thread_key = openings.thread_key

),

final as (

    {{ with_elapsed('ended', 'started_at', 'ended_at') }}

)

select * from final
