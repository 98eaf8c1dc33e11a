{{ config(tags=['clock']) }}

with

windows as (

    select * from {{ ref('fct_service_windows') }}

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

dated as (

    select
        windows.*,
        {{ local_day('policies.timezone', 'windows.opened_at') }} as day
    from windows
    inner join policies
        on {{ same_channel('windows', 'policies') }}

),

final as (

    select
        -- the cell
        day,
        provider,
        account,
        channel_key,

        -- counts: what is neither answered nor expired is still open
        count(*) as opened,
        count(*) filter (where is_answered) as answered,
        count(*) filter (where is_expired_unanswered) as expired_unanswered,
        count(*) filter (where is_reopened_by_template) as reopened_by_template,

        -- durations; an empty cell is null
        percentile_cont(0.5) within group (order by seconds_left_at_first_response)
            as p50_seconds_left_at_first_response
    from dated
    group by day, provider, account, channel_key

)

select * from final
