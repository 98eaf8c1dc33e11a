with

conversations as (

    select * from {{ source('raw_waspy', 'conversations') }}

),

parsed as (

    select
        *,
        {{ to_json('contact') }} as contact_json,
        {{ lowered('status') }} as state
    from conversations

),

final as (

    select
        -- ids
        'waspy' as provider,
        account,
        id as conversation_id,
        {{ clean('phone_number_id') }} as channel_id,
        coalesce({{ clean('contact_id') }}, {{ json_text('contact_json', ['id']) }}) as contact_id,
        {{ phone_in(json_text('contact_json', ['phoneNumber'])) }} as phone,
        {{ bsuid_in(json_text('contact_json', ['phoneNumber'])) }} as bsuid,
        {{ clean('assigned_to') }} as assigned_agent_id,

        -- state
        state as status,

        -- times
        {{ to_instant('created_at') }} as created_at,
        {{ to_instant('last_message_at') }} as last_active_at,
        case when state in ('resolved', 'closed') then fetched_at end as ended_at,  -- first seen closed
        {{ to_instant('service_window_expires_at') }} as window_expires_at,
        fetched_at
    from parsed

)

select * from final
