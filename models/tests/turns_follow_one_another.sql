-- Turns that start before the one before them has ended, or whose numbers have gaps.
with

turns as (

    select
        *,
        lag(turn_number, 1, 0) over in_order as previous_number,
        lag(last_request_at) over in_order as previous_request_at,
        lag(responded_at) over in_order as previous_response_at
    from {{ ref('fct_turns') }}
    where {{ is_touched('thread_key') }}
    window in_order as (partition by thread_key, scope order by turn_number)

),

final as (

    select turn_key
    from turns
    where
        turn_number <> previous_number + 1
        or started_at < previous_request_at
        or started_at < previous_response_at
        or (outcome = 'answered') is distinct from (responded_at is not null)
        or (outcome = 'answered') is distinct from (response_seconds is not null)

)

select * from final
