with

recipients as (

    select * from {{ source('raw_kapso', 'broadcast_recipients') }}

),

final as (

    select
        'kapso' as provider,
        account,
        id as recipient_id,
        {{ clean('broadcast_id') }} as broadcast_id,
        {{ phone_in('phone_number') }} as phone,
        {{ bsuid_in('phone_number') }} as bsuid,
        {{ to_instant('sent_at') }} as sent_at,
        fetched_at
    from recipients

)

select * from final
