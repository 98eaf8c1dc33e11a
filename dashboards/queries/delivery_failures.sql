-- What failed, by Meta's code; null when the provider tells none.
select
    error_code,
    count(*) as failed
from @sent as sent
where status = 'failed'
group by error_code
order by failed desc, error_code nulls last
