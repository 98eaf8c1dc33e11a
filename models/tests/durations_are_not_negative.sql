-- Rows with a duration below zero; the drift against the provider's clock is a difference, not one.
with

final as (

    select turn_key as row_key
    from {{ ref('fct_turns') }}
    where
        ({{ is_touched('thread_key') }} or outcome = 'waiting')
        and (
            least(
                response_seconds,
                response_from_last_seconds,
                business_response_seconds,
                waiting_seconds,
                window_seconds_left
            ) < 0
            or business_response_seconds > response_seconds + 0.001
        )
    union all
    select window_key as row_key
    from {{ ref('fct_service_windows') }}
    where
        {{ is_touched('thread_key') }}
        and (seconds_left_at_first_response < 0 or seconds_left_at_first_response > 86400)
    union all
    select call_key as row_key
    from {{ ref('fct_calls') }}
    where least(duration_seconds, callback_seconds) < 0

)

select * from final
