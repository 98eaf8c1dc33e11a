-- Half-open buckets: 60 seconds belong to the second one.
select
    case
        when seconds < 60 then 0
        when seconds < 300 then 1
        when seconds < 900 then 2
        when seconds < 3600 then 3
        when seconds < 14400 then 4
        when seconds < 28800 then 5
        when seconds < 86400 then 6
        else 7
    end as bucket,
    count(*) as turns
from @turns as turns
where seconds is not null
group by bucket
order by bucket
