select
    coalesce(error_code, 'unknown') as error_code,
    count(*) as failed,
    count(*) filter (where template_key is not null or message_type = 'template') as of_templates
from @messages as messages
where direction = 'outbound' and status = 'failed'
group by 1
order by failed desc, error_code
