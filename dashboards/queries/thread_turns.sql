select
    turn_number,
    started_at,
    last_request_at,
    requests,
    outcome,
    responded_at,
    reply_message_key,
    responder_kind,
    response_seconds,
    business_response_seconds,
    waiting_seconds,
    is_answered_in_window,
    sla_status
from marts.fct_turns
where thread_key = $thread_key and scope = $scope
order by turn_number
