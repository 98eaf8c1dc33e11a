with

calls as (

    select * from {{ ref('int_calls__classified') }}

),

callbacks as (

    select * from {{ ref('int_calls__callbacks') }}

),

final as (

    select
        -- keys
        calls.call_key,
        calls.provider,
        calls.account,
        calls.call_id,
        calls.channel_key,
        calls.contact_key,
        calls.thread_key,

        -- the call
        calls.direction,
        calls.status,
        calls.started_at,
        calls.ended_at,
        case when calls.duration_seconds < 0 then 0 else calls.duration_seconds end as duration_seconds,
        calls.is_answered,
        calls.is_missed,
        callbacks.callback_seconds
    from calls
    left join callbacks on calls.call_key = callbacks.call_key

)

select * from final
