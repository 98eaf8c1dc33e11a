-- The turns behind a point of a chart, slowest first; those that wait by how long they have waited so
-- far. Only the few that are shown are looked up whole.
with

matching as (

    select
        turn_key,
        coalesce(waiting_seconds, seconds) as length
    from @turns as turns
    where
        ($pick_from is null or local_started_at >= $pick_from)
        and ($pick_to is null or local_started_at < $pick_to + interval '1 day')
        and ($pick_low is null or seconds >= $pick_low)
        and ($pick_high is null or seconds < $pick_high)
        and ($pick_weekday is null or extract(isodow from local_started_at) = $pick_weekday)
        and ($pick_hour is null or extract(hour from local_started_at) = $pick_hour)

),

shown as (

    select * from matching
    order by length desc nulls last, turn_key
    limit $limit

)

select
    md5($pepper || turns.thread_key) as thread,
    case when $personal then contacts.display_name end as contact_name,
    case when $personal then contacts.phone_e164 end as contact_phone,
    coalesce(channels.name, channels.channel_id) as channel,
    coalesce(channels.timezone, $timezone) as timezone,
    turns.started_at,
    turns.responded_at,
    turns.outcome,
    turns.responder_kind,
    turns.seconds,
    turns.waiting_seconds,
    turns.sla_status,
    (select count(*) from matching) as found
from shown
inner join @turns as turns on shown.turn_key = turns.turn_key
left join marts.dim_channels as channels on turns.channel_key = channels.channel_key
left join marts.dim_contacts as contacts on turns.contact_key = contacts.contact_key
order by shown.length desc nulls last, turns.turn_key
