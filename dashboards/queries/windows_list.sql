-- The windows that ran out without an answer, newest first.
select
    md5($pepper || windows.thread_key) as thread,
    case when $personal then contacts.display_name end as contact_name,
    case when $personal then contacts.phone_e164 end as contact_phone,
    coalesce(channels.name, channels.channel_id) as channel,
    coalesce(channels.timezone, $timezone) as timezone,
    windows.opened_at,
    windows.closes_at,
    windows.requests,
    windows.calls,
    count(*) over () as found
from @windows as windows
left join marts.dim_channels as channels on windows.channel_key = channels.channel_key
left join marts.dim_contacts as contacts on windows.contact_key = contacts.contact_key
where
    windows.is_expired_unanswered
    and ($pick_from is null or windows.local_opened_at >= $pick_from)
    and (
        $pick_to is null
        or windows.local_opened_at < $pick_to + interval '1 day'
    )
order by windows.closes_at desc, windows.window_key
limit $limit
