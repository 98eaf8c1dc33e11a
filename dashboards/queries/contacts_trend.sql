-- People who wrote: new when their first request ever falls in that bucket, else returning.
with

writers as (

    select
        people.person,
        cast(date_trunc($grain, messages.local_occurred_at) as date) as bucket,
        bool_or(messages.occurred_at = people.first_request_at) as is_new
    from @messages as messages
    inner join @people as people on messages.contact_key = people.contact_key
    where messages.is_request
    group by 1, 2

)

select
    bucket,
    count(*) as people,
    count(*) filter (where is_new) as new_people,
    count(*) filter (where not is_new) as returning_people
from writers
group by writers.bucket
order by writers.bucket
