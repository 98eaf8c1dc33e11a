-- Who waits for an answer, the one whose window closes first on top. Scope human: a bot's answer is none.
select
    contacts.display_name,
    channels.name as channel,
    backlog.requests,
    backlog.started_at,
    backlog.waiting_seconds,
    backlog.window_seconds_left,
    backlog.sla_status
from marts.mart_backlog as backlog
left join marts.dim_contacts as contacts on backlog.contact_key = contacts.contact_key
left join marts.dim_channels as channels on backlog.channel_key = channels.channel_key
where backlog.scope = 'human'
order by
    case when backlog.window_seconds_left > 0 then 0 else 1 end,
    backlog.window_seconds_left,
    backlog.started_at
limit 50
