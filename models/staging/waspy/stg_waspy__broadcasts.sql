with

messages as (

    select * from {{ source('raw_waspy', 'messages') }}

),

-- The API lists no campaigns: one is known by the messages that name it, and counted from them.
final as (

    select
        -- ids
        'waspy' as provider,
        account,
        {{ clean('campaign_id') }} as broadcast_id,

        -- what it is
        cast(null as text) as name,
        cast(null as text) as status,
        min({{ clean('template_name_snapshot') }}) as template_name,
        cast(null as text) as template_language,
        min({{ to_message_time('created_at') }}) as started_at,
        cast(null as timestamptz) as completed_at,

        -- counted in the mart
        cast(null as bigint) as recipients,
        cast(null as bigint) as sent,
        cast(null as bigint) as delivered,
        cast(null as bigint) as read,
        cast(null as bigint) as responded,
        cast(null as bigint) as failed
    from messages
    where {{ clean('campaign_id') }} is not null
    group by account, {{ clean('campaign_id') }}

)

select * from final
