select
    count(*) as opened,
    count(*) filter (where is_answered) as answered,
    count(*) filter (where is_expired_unanswered) as expired_unanswered,
    count(*) filter (where not is_answered and not is_expired_unanswered) as still_open,
    count(*) filter (where is_reopened_by_template) as reopened_by_template,
    percentile_cont(0.5) within group (order by seconds_left_at_first_response)
        as p50_seconds_left,
    percentile_cont(0.1) within group (order by seconds_left_at_first_response)
        as p10_seconds_left
from @windows as windows
