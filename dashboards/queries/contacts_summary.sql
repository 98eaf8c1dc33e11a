-- People who wrote in the period, and how many of them had never written before.
with

writers as (

    select
        coalesce(contacts.person_key, wrote.contact_key) as person,
        min(wrote.first_at) as first_at,
        sum(wrote.requests) as requests
    from (
        select
            messages.contact_key,
            min(messages.occurred_at) as first_at,
            count(*) as requests
        from @messages as messages
        where messages.is_request and messages.contact_key is not null
        group by messages.contact_key
    ) as wrote
    left join marts.dim_contacts as contacts on wrote.contact_key = contacts.contact_key
    group by person

)

select
    count(*) as people,
    count(*) filter (where writers.first_at = firsts.first_request_at) as new_people,
    count(*) filter (where writers.first_at > firsts.first_request_at) as returning_people,
    coalesce(sum(writers.requests), 0) as requests
from writers
inner join @first_requests as firsts on writers.person = firsts.person
