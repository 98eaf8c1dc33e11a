-- Whom to answer first: windows that close soonest; those that closed, newest first.
select
    md5($pepper || waiting.thread_key) as thread,
    case when $personal then contacts.display_name end as contact_name,
    case when $personal then contacts.phone_e164 end as contact_phone,
    coalesce(channels.name, channels.channel_id) as channel,
    coalesce(channels.timezone, $timezone) as timezone,
    waiting.started_at,
    waiting.requests,
    waiting.waiting_seconds,
    waiting.window_seconds_left,
    waiting.window_state,
    waiting.sla_status
from @waiting as waiting
left join marts.dim_channels as channels on waiting.channel_key = channels.channel_key
left join marts.dim_contacts as contacts on waiting.contact_key = contacts.contact_key
where $window_state is null or waiting.window_state = $window_state
order by
    case waiting.window_state when 'at_risk' then 0 when 'open' then 1 else 2 end,
    case when waiting.window_state <> 'expired' then waiting.window_seconds_left end,
    case when waiting.window_state = 'expired' then waiting.window_closes_at end desc nulls last,
    waiting.waiting_seconds,
    waiting.turn_key
limit $limit
