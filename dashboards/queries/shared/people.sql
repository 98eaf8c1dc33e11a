-- Contacts that ever wrote: who they are, by a number, and when that person first wrote. One person
-- with several contacts is one person. Every request is in a turn, and of turns there are fewer.
select
    contact_key,
    dense_rank() over (order by name) as person,
    min(first_request_at) over (partition by name) as first_request_at
from (
    select
        begun.contact_key,
        begun.first_request_at,
        coalesce(contacts.person_key, begun.contact_key) as name
    from (
        select
            contact_key,
            min(started_at) as first_request_at
        from marts.fct_turns
        where scope = 'any' and contact_key is not null
        group by contact_key
    ) as begun
    left join marts.dim_contacts as contacts on begun.contact_key = contacts.contact_key
) as known
