with

conversations as (

    select * from {{ source('raw_kapso', 'conversations') }}

),

final as (

    select
        -- ids
        'kapso' as provider,
        account,
        id as conversation_id,
        {{ clean('phone_number_id') }} as channel_id,
        cast(null as text) as contact_id,
        {{ phone_in('phone_number') }} as phone,
        coalesce({{ clean('business_scoped_user_id') }}, {{ bsuid_in('phone_number') }}) as bsuid,
        cast(null as text) as assigned_agent_id,

        -- state
        {{ lowered('status') }} as status,

        -- times
        {{ to_instant('created_at') }} as created_at,
        {{ to_instant('last_active_at') }} as last_active_at,
        cast(null as timestamptz) as ended_at,  -- the list says that it ended, not when
        cast(null as timestamptz) as window_expires_at,
        fetched_at
    from conversations

)

select * from final
