-- People who wrote: new when their first request ever falls in that bucket, else returning.
with

writers as (

    select
        people.person,
        people.first_request_at,
        date_trunc($grain, messages.local_occurred_at) as bucket,
        min(messages.occurred_at) as first_at
    from @messages as messages
    inner join @people as people on messages.contact_key = people.contact_key
    where messages.is_request
    group by people.person, people.first_request_at, date_trunc($grain, messages.local_occurred_at)

)

select
    cast(bucket as date) as bucket,
    count(*) as people,
    count(*) filter (where first_at = first_request_at) as new_people,
    count(*) filter (where first_at > first_request_at) as returning_people
from writers
group by writers.bucket
order by writers.bucket
