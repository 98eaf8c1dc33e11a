-- What became of each template: delivered, read, answered within 72 hours, and what it may have cost.
select
    templates.name,
    templates.language,
    templates.category,
    sum(days.sends) as sends,
    sum(days.delivered) as delivered,
    sum(days.replied) as replied,
    cast(sum(days.replied) as double precision) / nullif(sum(days.sends), 0) as reply_rate,
    sum(days.estimated_cost_usd) as estimated_cost_usd
from marts.mart_daily_templates as days
left join marts.dim_templates as templates
    on days.template_key = templates.template_key and templates.is_current
group by 1, 2, 3
order by sends desc, 1, 2
