-- People who wrote in the period, and how many of them had never written before.
with

writers as (

    select
        people.person,
        people.first_request_at,
        min(messages.occurred_at) as first_at,
        count(*) as requests
    from @messages as messages
    inner join @people as people on messages.contact_key = people.contact_key
    where messages.is_request
    group by people.person, people.first_request_at

)

select
    count(*) as people,
    count(*) filter (where first_at = first_request_at) as new_people,
    count(*) filter (where first_at > first_request_at) as returning_people,
    coalesce(sum(requests), 0) as requests
from writers
