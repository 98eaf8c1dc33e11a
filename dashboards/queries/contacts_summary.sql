-- People who wrote in the period, and how many of them had never written before.
with

-- by contact first: of those there are far fewer than messages to look people up for
wrote as (

    select
        messages.contact_key,
        min(messages.occurred_at) as first_at,
        count(*) as requests
    from @messages as messages
    where messages.is_request and messages.contact_key is not null
    group by messages.contact_key

),

writers as (

    select
        people.person,
        people.first_request_at,
        min(wrote.first_at) as first_at,
        sum(wrote.requests) as requests
    from wrote
    inner join @people as people on wrote.contact_key = people.contact_key
    group by people.person, people.first_request_at

)

select
    count(*) as people,
    count(*) filter (where first_at = first_request_at) as new_people,
    count(*) filter (where first_at > first_request_at) as returning_people,
    cast(coalesce(sum(requests), 0) as bigint) as requests
from writers
