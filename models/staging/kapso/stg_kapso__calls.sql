with

calls as (

    select * from {{ source('raw_kapso', 'calls') }}

),

identified as (

    select
        *,
        coalesce(
            {{ clean('user_wa_id') }}, {{ json_text(to_json('whatsapp_contact'), ['wa_id']) }}
        ) as customer
    from calls

),

final as (

    select
        -- ids
        'kapso' as provider,
        account,
        id as call_id,
        {{ clean('call_id') }} as network_call_id,
        {{ clean('phone_number_id') }} as channel_id,
        {{ clean('whatsapp_conversation_id') }} as conversation_id,

        -- the customer is found as a message's is; the contact's id is the last resort
        case
            when customer is null and {{ clean('business_scoped_user_id') }} is null
                then {{ clean('whatsapp_contact_id') }}
        end as contact_id,
        {{ phone_in('customer') }} as phone,
        coalesce({{ clean('business_scoped_user_id') }}, {{ bsuid_in('customer') }}) as bsuid,

        -- what it was
        case {{ lowered('direction') }}
            when 'user_initiated' then 'inbound'
            when 'business_initiated' then 'outbound'
            else {{ lowered('direction') }}
        end as direction,
        {{ lowered('status') }} as status,
        {{ to_number('duration_seconds') }} as duration_seconds,

        -- times
        coalesce({{ to_instant('started_at') }}, {{ to_instant('created_at') }}) as started_at,
        {{ to_instant('session_started_at') }} as session_started_at,
        {{ to_instant('ended_at') }} as ended_at,
        fetched_at
    from identified

)

select * from final
