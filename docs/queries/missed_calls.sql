-- Missed calls, and whether anybody called or wrote back; those nobody returned on top.
select
    contacts.display_name,
    calls.started_at,
    calls.callback_seconds
from marts.fct_calls as calls
left join marts.dim_contacts as contacts on calls.contact_key = contacts.contact_key
where calls.is_missed
order by
    case when calls.callback_seconds is null then 0 else 1 end,
    calls.started_at desc
limit 50
