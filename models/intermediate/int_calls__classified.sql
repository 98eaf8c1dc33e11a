{{ by('call_id', notes=['thread_key']) }}

with

calls as (

    select * from {{ ref('int_calls__unioned') }}
    {{ where_touched('call_id') }}

),

identities as (

    select * from {{ ref('int_contacts__identities') }}

),

judged as (

    select
        calls.*,
        identities.contact_key,
        {{ thread_key('calls', 'identities', 'call_id') }} as thread_key,
        coalesce(
            calls.duration_seconds > 0
            or (calls.status in ('completed', 'answered', 'connected') and calls.session_started_at is not null),
            false
        ) as is_answered
    from calls
    left join identities on calls.identity_key = identities.identity_key

),

final as (

    select
        *,
        coalesce(direction = 'inbound' and not is_answered, false) as is_missed,
        -- Of a call that was accepted there may be no duration: not yet, or never.
        coalesce(
            direction = 'inbound'
            or (
                direction = 'outbound'
                and (is_answered or is_accepted or status in ('accepted', 'answered', 'connected'))
            ),
            false
        ) as opens_window,
        -- A call that the customer took opens the window when they took it.
        case
            when direction = 'outbound' then coalesce(session_started_at, started_at)
            else started_at
        end as opened_window_at
    from judged

)

select * from final
