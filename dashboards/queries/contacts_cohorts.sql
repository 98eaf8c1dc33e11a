-- Cohorts by the local month of a person's first request, over the whole history: how many of them
-- wrote again so many months later.
with

requests as (

    select
        people.person,
        date_trunc(
            'month', timezone(coalesce(channels.timezone, $timezone), messages.occurred_at)
        ) as active_month
    from marts.fct_messages as messages
    inner join @people as people on messages.contact_key = people.contact_key
    left join marts.dim_channels as channels on messages.channel_key = channels.channel_key
    where
        messages.is_request
        and ($providers is null or messages.provider = any($providers))
        and ($accounts is null or messages.provider || ':' || messages.account = any($accounts))
        and ($channels is null or messages.channel_key = any($channels))
    group by 1, 2

),

cohorts as (

    select
        person,
        active_month,
        min(active_month) over (partition by person) as cohort_month
    from requests

)

select
    cast(cohort_month as date) as cohort,
    cast(
        (extract(year from active_month) - extract(year from cohort_month)) * 12
        + extract(month from active_month) - extract(month from cohort_month) as integer
    ) as months_later,
    count(*) as people
from cohorts
where cohort_month > $to_day - interval '12 months'
group by cohort, months_later
order by cohort, months_later
