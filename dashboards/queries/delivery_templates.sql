-- One row per template: what became of the messages sent with it.
select
    coalesce(templates.name, sends.template_key, 'unknown') as template,
    templates.language,
    templates.category,
    count(*) as sent,
    count(*) filter (where sends.is_delivered) as delivered,
    count(*) filter (where sends.is_read) as read,
    count(sends.replied_at) as replied,
    count(*) filter (where sends.is_failed) as failed,
    percentile_cont(0.5) within group (
        order by extract(epoch from sends.replied_at - sends.occurred_at)
    ) as p50_reply_seconds,
    sum(sends.estimated_cost_usd) as estimated_cost_usd
from @sends as sends
left join marts.dim_templates as templates
    on sends.template_key = templates.template_key and templates.is_current
group by 1, templates.language, templates.category
order by sent desc, template, templates.language
