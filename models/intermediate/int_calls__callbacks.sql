-- For each missed call, the first thing the business did in the thread after it stopped ringing.
{{ by('thread_key') }}
-- depends_on: {{ ref('int_conversations__keyed') }}

with

calls as (

    select * from {{ ref('int_calls__classified') }}
    {{ where_touched('thread_key') }}

),

messages as (

    select * from {{ ref('int_messages__classified') }}
    {{ where_touched('thread_key') }}

),

events as (

    select
        thread_key,
        call_key,
        coalesce(ended_at, started_at) as occurred_at,
        0 as rank_in_instant,
        cast(null as timestamptz) as reached_out_at
    from calls
    where is_missed
    union all
    select
        thread_key,
        cast(null as text) as call_key,
        started_at as occurred_at,
        1 as rank_in_instant,
        started_at as reached_out_at
    from calls
    where direction = 'outbound'
    union all
    select
        thread_key,
        cast(null as text) as call_key,
        occurred_at,
        1 as rank_in_instant,
        occurred_at as reached_out_at
    from messages
    where is_reply

),

followed as (

    select
        *,
        min(reached_out_at) over (
            partition by thread_key
            order by occurred_at, rank_in_instant
            rows between current row and unbounded following
        ) as called_back_at
    from events

),

final as (

    select
        thread_key,
        call_key,
        {{ seconds_between('occurred_at', 'called_back_at') }} as callback_seconds
    from followed
    where call_key is not null

)

select * from final
