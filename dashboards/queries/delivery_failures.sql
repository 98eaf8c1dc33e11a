-- What failed, by Meta's code; null when the provider tells none.
select
    error_code,
    count(*) as failed,
    count(*) filter (where template_key is not null or message_type = 'template') as of_templates
from @sent as sent
where status = 'failed'
group by error_code
order by failed desc, error_code nulls last
