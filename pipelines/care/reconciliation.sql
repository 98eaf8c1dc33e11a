-- Do the parts add up? Each row compares a sum over days, agents or hours with the rows it is made of.
select
    'turns by day' as what,
    (select count(*) from marts.fct_turns) as total,
    (select coalesce(sum(turns), 0) from marts.mart_daily_response_times) as parts
union all
select
    'turns by agent' as what,
    (select count(*) from marts.fct_turns where scope = 'human') as total,
    (select coalesce(sum(turns), 0) from marts.mart_daily_agents) as parts
union all
select
    'turns by hour' as what,
    (select count(*) from marts.fct_turns where scope = 'any') as total,
    (select coalesce(sum(turns), 0) from marts.mart_hourly_load) as parts
union all
select
    'windows by day' as what,
    (select count(*) from marts.fct_service_windows) as total,
    (select coalesce(sum(opened), 0) from marts.mart_daily_service_windows) as parts
union all
select
    'messages by day' as what,
    (select count(occurred_at) from marts.fct_messages) as total,
    (select coalesce(sum(messages), 0) from marts.mart_daily_messages) as parts
union all
select
    'template sends by day' as what,
    (select count(occurred_at) from marts.fct_template_sends) as total,
    (select coalesce(sum(sends), 0) from marts.mart_daily_templates) as parts
