-- Threads to look at when a link names none: those in which somebody wrote last.
select
    md5($pepper || recent.thread_key) as thread,
    case when $personal then contacts.display_name end as contact_name,
    case when $personal then contacts.phone_e164 end as contact_phone,
    coalesce(channels.name, channels.channel_id) as channel,
    coalesce(channels.timezone, $timezone) as timezone,
    recent.last_request_at,
    recent.turns,
    recent.waiting
from (
    select
        thread_key,
        channel_key,
        contact_key,
        max(last_request_at) as last_request_at,
        count(*) as turns,
        count(*) filter (where outcome = 'waiting') as waiting
    from @turns as turns
    group by thread_key, channel_key, contact_key
    order by last_request_at desc, thread_key
    limit $limit
) as recent
left join marts.dim_channels as channels on recent.channel_key = channels.channel_key
left join marts.dim_contacts as contacts on recent.contact_key = contacts.contact_key
order by recent.last_request_at desc, thread
