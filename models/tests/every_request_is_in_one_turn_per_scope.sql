-- Threads whose turns hold more or fewer requests than the thread has.
with

requested as (

    select
        thread_key,
        count(*) as requests
    from {{ ref('fct_messages') }}
    where {{ is_touched('thread_key') }} and is_request
    group by thread_key

),

grouped as (

    select
        thread_key,
        coalesce(sum(requests) filter (where scope = 'any'), 0) as any_requests,
        coalesce(sum(requests) filter (where scope = 'human'), 0) as human_requests
    from {{ ref('fct_turns') }}
    where {{ is_touched('thread_key') }}
    group by thread_key

),

final as (

    select coalesce(requested.thread_key, grouped.thread_key) as thread_key
    from requested
    full outer join grouped on requested.thread_key = grouped.thread_key
    where
        requested.requests is distinct from grouped.any_requests
        or requested.requests is distinct from grouped.human_requests

)

select * from final
