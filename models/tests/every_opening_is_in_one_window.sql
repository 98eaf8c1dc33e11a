-- Threads whose windows hold more or fewer openings than messages and calls made.
with

messages as (

    select
        thread_key,
        count(*) as openings
    from {{ ref('fct_messages') }}
    where {{ is_touched('thread_key') }} and opens_window
    group by thread_key

),

windows as (

    select
        thread_key,
        sum(refreshes + 1 - calls) as openings
    from {{ ref('fct_service_windows') }}
    where {{ is_touched('thread_key') }}
    group by thread_key

),

final as (

    select coalesce(messages.thread_key, windows.thread_key) as thread_key
    from messages
    full outer join windows on messages.thread_key = windows.thread_key
    where coalesce(messages.openings, 0) <> coalesce(windows.openings, 0)

)

select * from final
