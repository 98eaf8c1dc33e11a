-- The turns behind a point of a chart, slowest first; those that wait stand at the top.
select
    md5($pepper || turns.thread_key) as thread,
    case when $personal then contacts.display_name end as contact_name,
    case when $personal then contacts.phone_e164 end as contact_phone,
    channels.name as channel,
    coalesce(channels.timezone, $timezone) as timezone,
    turns.started_at,
    turns.responded_at,
    turns.outcome,
    turns.responder_kind,
    turns.seconds,
    turns.waiting_seconds,
    turns.sla_status,
    count(*) over () as found
from @turns as turns
left join marts.dim_channels as channels on turns.channel_key = channels.channel_key
left join marts.dim_contacts as contacts on turns.contact_key = contacts.contact_key
where
    ($pick_from is null or turns.local_started_at >= $pick_from)
    and (
        $pick_to is null
        or turns.local_started_at < $pick_to + interval '1 day'
    )
    and ($pick_low is null or turns.seconds >= $pick_low)
    and ($pick_high is null or turns.seconds < $pick_high)
    and ($pick_weekday is null or extract(isodow from turns.local_started_at) = $pick_weekday)
    and ($pick_hour is null or extract(hour from turns.local_started_at) = $pick_hour)
order by coalesce(turns.waiting_seconds, turns.seconds) desc nulls last, turns.turn_key
limit $limit
