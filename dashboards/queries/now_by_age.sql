-- Waiting turns by how long they have waited and the state of their window.
select
    case
        when waiting_seconds < 60 then 0
        when waiting_seconds < 300 then 1
        when waiting_seconds < 900 then 2
        when waiting_seconds < 3600 then 3
        when waiting_seconds < 14400 then 4
        when waiting_seconds < 28800 then 5
        when waiting_seconds < 86400 then 6
        else 7
    end as bucket,
    window_state,
    count(*) as turns
from @waiting as waiting
group by bucket, window_state
order by bucket, window_state
