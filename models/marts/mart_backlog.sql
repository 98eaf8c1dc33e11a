{{ config(tags=['clock']) }}

with

turns as (

    select * from {{ ref('fct_turns') }}

),

final as (

    select
        turn_key,
        scope,
        provider,
        account,
        thread_key,
        conversation_key,
        channel_key,
        contact_key,
        turn_number,
        session_number,
        is_first_in_session,
        session_initiated_by,
        is_first_response,
        started_at,
        last_request_at,
        requests,
        outcome,
        responded_at,
        reply_message_key,
        responder_kind,
        agent_key,
        is_template_reply,
        response_seconds,
        response_from_last_seconds,
        business_response_seconds,
        waiting_seconds,
        window_closes_at,
        is_answered_in_window,
        case
            when window_closes_at > {{ as_of() }}
                then {{ seconds_between(as_of(), 'window_closes_at') }}
            when window_closes_at is not null then 0
        end as window_seconds_left,
        is_mature,
        sla_status,
        is_provisional
    from turns
    where outcome = 'waiting'

)

select * from final
