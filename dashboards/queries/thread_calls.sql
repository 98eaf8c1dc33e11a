select
    direction,
    started_at,
    duration_seconds,
    is_answered,
    is_missed
from marts.fct_calls
where thread_key = $thread_key and started_at is not null
order by started_at
