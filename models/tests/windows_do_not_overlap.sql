-- Episodes that open before the one before them has closed, or whose numbers have gaps.
with

windows as (

    select
        *,
        lag(closes_at) over in_order as previous_closes_at,
        lag(episode_number, 1, 0) over in_order as previous_number
    from {{ ref('fct_service_windows') }}
    where {{ is_touched('thread_key') }}
    window in_order as (partition by thread_key order by episode_number)

),

final as (

    select window_key
    from windows
    where
        opened_at < previous_closes_at
        or episode_number <> previous_number + 1
        or closes_at < opened_at + interval '24 hours'
        or (is_open and is_expired_unanswered)

)

select * from final
