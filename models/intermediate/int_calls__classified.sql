with

calls as (

    select * from {{ ref('int_calls__unioned') }}

),

identities as (

    select * from {{ ref('int_contacts__identities') }}

),

keyed as (

    select
        calls.*,
        {{ mart_key('calls', 'call_id') }} as call_key,
        {{ mart_key('calls', 'channel_id') }} as channel_key,
        {{ identity_key('calls') }} as identity_key
    from calls

),

judged as (

    select
        keyed.*,
        identities.contact_key,
        {{ thread_key('keyed', 'identities', 'call_id') }} as thread_key,
        coalesce(
            keyed.duration_seconds > 0
            or (keyed.status in ('completed', 'answered') and keyed.session_started_at is not null),
            false
        ) as is_answered
    from keyed
    left join identities on keyed.identity_key = identities.identity_key

),

final as (

    select
        *,
        coalesce(direction = 'inbound' and not is_answered, false) as is_missed,
        coalesce(direction = 'inbound' or (direction = 'outbound' and is_answered), false) as opens_window,
        -- A call that the customer took opens the window when they took it.
        case
            when direction = 'outbound' then coalesce(session_started_at, started_at)
            else started_at
        end as opened_window_at
    from judged

)

select * from final
