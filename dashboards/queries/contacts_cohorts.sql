-- Cohorts by the month of a person's first request ever, wherever it was: how many of them wrote again
-- so many months later, until the last day of the view. Months are of one zone: a person may write to
-- channels of several. A month that has begun counts 0 when nobody came back.
with

-- by contact first: of their months there are far fewer than of their messages
active as (

    select
        messages.contact_key,
        date_trunc('month', timezone($timezone, messages.occurred_at)) as active_month
    from marts.fct_messages as messages
    left join marts.dim_channels as channels on messages.channel_key = channels.channel_key
    where
        messages.is_request
        and messages.occurred_at >= $to_day - interval '12 months' - interval '2 days'
        and ($providers is null or messages.provider = any($providers))
        and ($accounts is null or messages.provider || ':' || messages.account = any($accounts))
        and ($channels is null or messages.channel_key = any($channels))
        -- no zone is a day from UTC: only near the end of the view the local time can decide
        and (
            messages.occurred_at < $to_day - interval '2 days'
            or timezone(coalesce(channels.timezone, $timezone), messages.occurred_at)
            < $to_day + interval '1 day'
        )
    group by 1, 2

),

requests as (

    select distinct
        people.person,
        date_trunc('month', timezone($timezone, people.first_request_at)) as cohort_month,
        active.active_month
    from active
    inner join @people as people on active.contact_key = people.contact_key
    where date_trunc('month', timezone($timezone, people.first_request_at)) > $to_day - interval '12 months'

),

cohorts as (

    select
        cohort_month,
        count(distinct person) as people
    from requests
    group by cohort_month

),

returned as (

    select
        cohort_month,
        active_month,
        count(*) as people
    from requests
    group by cohort_month, active_month

),

months as (

    select
        cohorts.cohort_month,
        cohorts.people,
        later.months_later,
        cohorts.cohort_month + later.months_later * interval '1 month' as active_month
    from cohorts
    cross join generate_series(0, 11) as later (months_later)

)

select
    cast(months.cohort_month as date) as cohort,
    cast(months.months_later as integer) as months_later,
    -- all of them, also who first wrote to a channel that the view leaves out
    case when months.months_later = 0 then months.people else coalesce(returned.people, 0) end as people,
    months.active_month + interval '1 month' <= $to_day + interval '1 day' as is_over
from months
left join returned
    on
        months.cohort_month = returned.cohort_month
        and months.active_month = returned.active_month
where months.active_month <= $to_day
order by cohort, months_later
