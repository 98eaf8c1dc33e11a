select
    turns.provider,
    turns.account,
    coalesce(channels.name, channels.channel_id) as channel,
    md5($pepper || turns.thread_key) as thread,
    turns.scope,
    turns.turn_number,
    turns.is_first_response,
    turns.started_at,
    turns.responded_at,
    turns.outcome,
    turns.responder_kind,
    turns.agent_key,
    turns.requests,
    turns.response_seconds,
    turns.business_response_seconds,
    turns.waiting_seconds,
    turns.is_answered_in_window,
    turns.window_seconds_left,
    turns.sla_status,
    turns.is_provisional
from @turns as turns
left join marts.dim_channels as channels on turns.channel_key = channels.channel_key
order by turns.started_at, turns.turn_key
limit $limit
