select
    episode_number,
    opened_at,
    closes_at,
    is_answered,
    is_open,
    is_expired_unanswered,
    is_reopened_by_template
from marts.fct_service_windows
where thread_key = $thread_key
order by episode_number
