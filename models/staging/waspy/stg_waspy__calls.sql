with

messages as (

    select * from {{ source('raw_waspy', 'messages') }}

),

-- The API lists no calls.
final as (

    select
        -- ids
        'waspy' as provider,
        account,
        id as call_id,
        cast(null as text) as network_call_id,
        cast(null as text) as channel_id,
        cast(null as text) as conversation_id,
        cast(null as text) as contact_id,
        cast(null as text) as phone,
        cast(null as text) as bsuid,

        -- what it was
        cast(null as text) as direction,
        cast(null as text) as status,
        cast(null as double precision) as duration_seconds,

        -- times
        cast(null as timestamptz) as started_at,
        cast(null as timestamptz) as session_started_at,
        cast(null as timestamptz) as ended_at,
        fetched_at
    from messages
    where false

)

select * from final
