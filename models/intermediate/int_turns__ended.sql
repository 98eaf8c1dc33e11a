-- Turns that an answer or a close has ended: nothing of them moves any more.
{{ by('thread_key') }}

with

turns as (

    select * from {{ ref('int_turns__grouped') }}
    {{ where_touched('thread_key') }}

),

targeted as (

    {{ with_policies('turns') }}

),

ended as (

    select
        *,
        coalesce(responded_at, closed_at) as ended_at,
        last_opening_at + interval '24 hours' as window_closes_at
    from targeted
    where outcome <> 'waiting'

),

final as (

    {{ with_elapsed('ended', 'started_at', 'ended_at') }}

)

select * from final
