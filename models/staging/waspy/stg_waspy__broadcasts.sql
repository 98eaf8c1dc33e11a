with

messages as (

    select * from {{ source('raw_waspy', 'messages') }}

),

-- The API lists no campaigns: one is known by the messages that name it, see fct_broadcasts.
final as (

    select
        -- ids
        'waspy' as provider,
        account,
        cast(null as text) as broadcast_id,

        -- what it is
        cast(null as text) as name,
        cast(null as text) as status,
        cast(null as text) as template_name,
        cast(null as text) as template_language,
        cast(null as timestamptz) as started_at,
        cast(null as timestamptz) as completed_at,

        -- counted in the mart
        cast(null as bigint) as recipients,
        cast(null as bigint) as sent,
        cast(null as bigint) as delivered,
        cast(null as bigint) as read,
        cast(null as bigint) as responded,
        cast(null as bigint) as failed
    from messages
    where false

)

select * from final
