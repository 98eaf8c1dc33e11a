select
    coalesce(contacts.country_code, '–') as country,
    count(distinct coalesce(contacts.person_key, messages.contact_key)) as people
from @messages as messages
left join marts.dim_contacts as contacts on messages.contact_key = contacts.contact_key
where messages.is_request and messages.contact_key is not null
group by 1
order by people desc, country
