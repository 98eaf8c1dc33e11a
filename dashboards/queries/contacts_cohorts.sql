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
        min(active_month) as cohort_month
    from requests
    group by person

)

select
    cast(cohorts.cohort_month as date) as cohort,
    cast(
        (extract(year from requests.active_month) - extract(year from cohorts.cohort_month)) * 12
        + extract(month from requests.active_month)
        - extract(month from cohorts.cohort_month) as integer
    ) as months_later,
    count(*) as people
from requests
inner join cohorts on requests.person = cohorts.person
where cohorts.cohort_month > $to_day - interval '12 months'
group by cohort, months_later
order by cohort, months_later
