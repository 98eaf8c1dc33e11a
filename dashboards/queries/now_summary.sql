-- How many wait, and how near their windows are to their end.
select
    count(*) as waiting,
    count(*) filter (where window_state in ('open', 'at_risk')) as with_open_window,
    count(*) filter (where window_state = 'at_risk') as at_risk,
    count(*) filter (where window_state = 'expired') as expired,
    count(*) filter (where sla_status = 'breached' and window_state in ('open', 'at_risk'))
        as breached_open,
    max(case when window_state in ('open', 'at_risk') then waiting_seconds end) as longest_open,
    max(case when window_state = 'expired' then waiting_seconds end) as longest_expired
from @waiting as waiting
