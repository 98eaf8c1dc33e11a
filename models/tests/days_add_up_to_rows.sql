-- Daily and hourly marts whose cells hold more or fewer rows than the facts with a time.
with

sums as (

    select
        'windows' as what,
        (select count(*) from {{ ref('fct_service_windows') }}) as facts,
        (select coalesce(sum(opened), 0) from {{ ref('mart_daily_service_windows') }}) as cells
    union all
    select
        'messages' as what,
        (select count(occurred_at) from {{ ref('fct_messages') }}) as facts,
        (select coalesce(sum(messages), 0) from {{ ref('mart_daily_messages') }}) as cells
    union all
    select
        'calls' as what,
        (select count(started_at) from {{ ref('fct_calls') }}) as facts,
        (select coalesce(sum(calls), 0) from {{ ref('mart_daily_calls') }}) as cells
    union all
    select
        'template sends' as what,
        (select count(occurred_at) from {{ ref('fct_template_sends') }}) as facts,
        (select coalesce(sum(sends), 0) from {{ ref('mart_daily_templates') }}) as cells
    union all
    select
        'hours' as what,
        (select count(*) filter (where scope = 'any') from {{ ref('fct_turns') }}) as facts,
        (select coalesce(sum(turns), 0) from {{ ref('mart_hourly_load') }}) as cells
    union all
    select
        'templates among messages' as what,
        (
            select count(*) filter (where direction = 'outbound' and message_type = 'template')
            from {{ ref('fct_messages') }}
        ) as facts,
        (select count(*) from {{ ref('fct_template_sends') }}) as cells

),

final as (

    select what
    from sums
    where facts <> cells

)

select * from final
