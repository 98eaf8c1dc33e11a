select
    call_key,
    direction,
    started_at,
    duration_seconds,
    is_answered,
    is_missed,
    callback_seconds
from marts.fct_calls
where thread_key = $thread_key and started_at is not null
order by started_at
