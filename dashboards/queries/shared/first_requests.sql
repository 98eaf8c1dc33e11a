-- When each person wrote for the first time ever. Every request is in a turn, and there are far fewer
-- turns than messages.
select
    coalesce(contacts.person_key, begun.contact_key) as person,
    min(begun.first_request_at) as first_request_at
from (
    select
        contact_key,
        min(started_at) as first_request_at
    from marts.fct_turns
    where scope = 'any' and contact_key is not null
    group by contact_key
) as begun
left join marts.dim_contacts as contacts on begun.contact_key = contacts.contact_key
group by person
