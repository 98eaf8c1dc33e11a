-- How answers spread over time: half-open buckets, and those who still wait beside them.
select
    scope,
    case
        when outcome <> 'answered' then '9 not answered'
        when response_seconds < 60 then '1 under 1 min'
        when response_seconds < 300 then '2 1 to 5 min'
        when response_seconds < 900 then '3 5 to 15 min'
        when response_seconds < 3600 then '4 15 to 60 min'
        when response_seconds < 14400 then '5 1 to 4 h'
        when response_seconds < 28800 then '6 4 to 8 h'
        when response_seconds < 86400 then '7 8 to 24 h'
        else '8 24 h and more'
    end as bucket,
    count(*) as turns
from marts.fct_turns
group by 1, 2
order by 1, 2
