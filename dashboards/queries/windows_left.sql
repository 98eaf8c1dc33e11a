-- Hours of the 24 that were left at the first answer.
select
    cast(least(floor(seconds_left_at_first_response / 3600), 23) as integer) as hours_left,
    count(*) as windows
from @windows as windows
where seconds_left_at_first_response is not null
group by hours_left
order by hours_left
