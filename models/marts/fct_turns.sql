-- What depends on the build's clock is added here, when the row is read.
{{ of_the_clock('turn_key', "outcome = 'waiting' or is_provisional or not is_mature") }}

with

turns as (

    select * from {{ ref('int_turns__clocked') }}

),

judged as (

    select
        *,
        case
            when sla_clock = 'business' and policy is not null then business_elapsed_seconds
            else elapsed_seconds
        end as sla_seconds,
        outcome = 'answered' as is_answered
    from turns

),

final as (

    select
        -- keys
        thread_key || ':' || scope || ':' || turn_number as turn_key,
        scope,
        provider,
        account,
        thread_key,
        conversation_key,
        channel_key,
        contact_key,
        turn_number,
        session_number,

        -- what was asked
        is_first_in_session,
        session_initiated_by,
        is_first_in_session and session_initiated_by = 'customer' as is_first_response,
        started_at,
        last_request_at,
        requests,

        -- how it ended
        outcome,
        responded_at,
        reply_message_key,
        responder_kind,
        case when is_answered then coalesce({{ mart_key('judged', 'agent_id') }}, {{ unattributed('judged') }}) end
            as agent_key,
        is_template_reply,
        case when is_answered then elapsed_seconds end as response_seconds,
        case when is_answered then {{ seconds_between('last_request_at', 'responded_at') }} end
            as response_from_last_seconds,
        case when is_answered then business_elapsed_seconds end as business_response_seconds,
        case when outcome = 'waiting' then elapsed_seconds end as waiting_seconds,

        -- against the 24-hour window
        window_closes_at,
        case when is_answered then coalesce(responded_at < window_closes_at, false) end as is_answered_in_window,
        case
            when is_answered and responded_at < window_closes_at
                then {{ seconds_between('responded_at', 'window_closes_at') }}
        end as window_seconds_left,
        is_answered or coalesce({{ as_of() }} >= window_closes_at, false) as is_mature,

        -- against the target: judged by the number that is shown
        case
            when target_seconds is null or sla_seconds is null then null
            when is_answered and sla_seconds <= target_seconds then 'met'
            when sla_seconds > target_seconds then 'breached'
            when outcome = 'waiting' then 'pending'
            else 'excluded'
        end as sla_status,
        started_at > {{ as_of() }} - interval '168 hours' as is_provisional
    from judged

)

select * from final
{{ where_missing('final', 'turn_key') }}
