-- Missed calls: those that nobody followed up first, then the newest.
select
    md5($pepper || calls.thread_key) as thread,
    case when $personal then contacts.display_name end as contact_name,
    case when $personal then contacts.phone_e164 end as contact_phone,
    coalesce(channels.name, channels.channel_id) as channel,
    coalesce(channels.timezone, $timezone) as timezone,
    calls.started_at,
    calls.callback_seconds,
    count(*) over () as found
from @calls as calls
left join marts.dim_channels as channels on calls.channel_key = channels.channel_key
left join marts.dim_contacts as contacts on calls.contact_key = contacts.contact_key
where calls.is_missed
order by case when calls.callback_seconds is null then 0 else 1 end, calls.started_at desc, calls.call_key
limit $limit
