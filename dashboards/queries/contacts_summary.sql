-- People who wrote in the period, and how many of them had never written before.
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
        min(messages.occurred_at) as first_at,
        count(*) as requests
    from @messages as messages
    left join marts.dim_contacts as contacts on messages.contact_key = contacts.contact_key
    where messages.is_request and messages.contact_key is not null
    group by person

)

select
    count(*) as people,
    count(*) filter (where writers.first_at = firsts.first_request_at) as new_people,
    count(*) filter (where writers.first_at > firsts.first_request_at) as returning_people,
    coalesce(sum(writers.requests), 0) as requests
from writers
inner join firsts on writers.person = firsts.person
