-- Do the parts add up? Each row compares a sum over days, agents or hours with the rows it is made of.
select
    'turns, scope any: days' as what,
    (select count(*) from marts.fct_turns where scope = 'any') as total,
    (select coalesce(sum(turns), 0) from marts.mart_daily_response_times where scope = 'any') as parts
union all
select
    'turns, scope any: hours' as what,
    (select count(*) from marts.fct_turns where scope = 'any') as total,
    (select coalesce(sum(turns), 0) from marts.mart_hourly_load) as parts
union all
select
    'turns, scope human: agents' as what,
    (select count(*) from marts.fct_turns where scope = 'human') as total,
    (select coalesce(sum(turns), 0) from marts.mart_daily_agents) as parts
union all
select
    'windows: days' as what,
    (select count(*) from marts.fct_service_windows) as total,
    (select coalesce(sum(opened), 0) from marts.mart_daily_service_windows) as parts
union all
select
    'messages with a time: days' as what,
    (select count(*) from marts.fct_messages where occurred_at is not null) as total,
    (select coalesce(sum(messages), 0) from marts.mart_daily_messages) as parts
union all
select
    'template sends with a time: days' as what,
    (select count(*) from marts.fct_template_sends where occurred_at is not null) as total,
    (select coalesce(sum(sends), 0) from marts.mart_daily_templates) as parts
order by 1
