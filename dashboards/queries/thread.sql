-- The thread that a link names. Its name in links is keyed, because its key may hold a phone.
select
    threads.thread_key,
    threads.channel_key,
    coalesce(channels.name, channels.channel_id) as channel,
    coalesce(channels.timezone, $timezone) as timezone,
    case when $personal then contacts.display_name end as contact_name,
    case when $personal then contacts.phone_e164 end as contact_phone
from (
    select distinct thread_key, channel_key, contact_key from marts.fct_turns
    union
    select distinct thread_key, channel_key, contact_key from marts.fct_service_windows
    union
    select distinct thread_key, channel_key, contact_key from marts.fct_calls
) as threads
left join marts.dim_channels as channels on threads.channel_key = channels.channel_key
left join marts.dim_contacts as contacts on threads.contact_key = contacts.contact_key
where md5($pepper || threads.thread_key) = $thread
