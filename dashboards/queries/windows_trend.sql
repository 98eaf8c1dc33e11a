select
    cast(date_trunc($grain, local_opened_at) as date) as bucket,
    count(*) as opened,
    count(*) filter (where is_answered) as answered,
    count(*) filter (where is_expired_unanswered) as expired_unanswered,
    count(*) filter (where not is_answered and not is_expired_unanswered) as still_open,
    count(*) filter (where is_reopened_by_template) as reopened_by_template
from @windows as windows
group by bucket
order by bucket
