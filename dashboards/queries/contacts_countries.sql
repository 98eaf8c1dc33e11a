select
    coalesce(contacts.country_code, '–') as country,
    count(distinct coalesce(contacts.person_key, wrote.contact_key)) as people
from (
    select distinct messages.contact_key
    from @messages as messages
    where messages.is_request and messages.contact_key is not null
) as wrote
left join marts.dim_contacts as contacts on wrote.contact_key = contacts.contact_key
group by 1
order by people desc, country
