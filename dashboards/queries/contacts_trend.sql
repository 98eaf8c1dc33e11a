-- People who wrote: new when their first request ever falls in that bucket, else returning. One
-- person with several contacts is one person.
with

writers as (

    select
        coalesce(contacts.person_key, wrote.contact_key) as person,
        wrote.bucket,
        min(wrote.first_at) as first_at
    from (
        select
            messages.contact_key,
            date_trunc($grain, messages.local_occurred_at) as bucket,
            min(messages.occurred_at) as first_at
        from @messages as messages
        where messages.is_request and messages.contact_key is not null
        group by messages.contact_key, date_trunc($grain, messages.local_occurred_at)
    ) as wrote
    left join marts.dim_contacts as contacts on wrote.contact_key = contacts.contact_key
    group by person, wrote.bucket

)

select
    cast(writers.bucket as date) as bucket,
    count(*) as people,
    count(*) filter (where writers.first_at = firsts.first_request_at) as new_people,
    count(*) filter (where writers.first_at > firsts.first_request_at) as returning_people
from writers
inner join @first_requests as firsts on writers.person = firsts.person
group by writers.bucket
order by writers.bucket
