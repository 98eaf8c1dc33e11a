-- People who wrote: new when their first request ever falls in that bucket, else returning. One
-- person with several contacts is one person.
with

firsts as (

    select
        coalesce(contacts.person_key, messages.contact_key) as person,
        min(messages.occurred_at) as first_request_at
    from marts.fct_messages as messages
    left join marts.dim_contacts as contacts on messages.contact_key = contacts.contact_key
    where messages.is_request and messages.contact_key is not null
    group by person

),

writers as (

    select
        coalesce(contacts.person_key, messages.contact_key) as person,
        date_trunc($grain, messages.local_occurred_at) as bucket,
        min(messages.occurred_at) as first_at
    from @messages as messages
    left join marts.dim_contacts as contacts on messages.contact_key = contacts.contact_key
    where messages.is_request and messages.contact_key is not null
    group by person, bucket

)

select
    cast(writers.bucket as date) as bucket,
    count(*) as people,
    count(*) filter (where writers.first_at = firsts.first_request_at) as new_people,
    count(*) filter (where writers.first_at > firsts.first_request_at) as returning_people
from writers
inner join firsts on writers.person = firsts.person
group by writers.bucket
order by writers.bucket
