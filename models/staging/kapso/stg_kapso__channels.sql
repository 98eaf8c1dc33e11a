with

phone_numbers as (

    select * from {{ source('raw_kapso', 'phone_numbers') }}

),

final as (

    select
        'kapso' as provider,
        account,
        coalesce({{ clean('phone_number_id') }}, id) as channel_id,
        coalesce({{ clean('name') }}, {{ clean('display_name') }}, {{ clean('verified_name') }}) as name,
        coalesce({{ clean('display_phone_number_normalized') }}, {{ clean('display_phone_number') }}) as phone,
        {{ lowered('quality_rating') }} as quality_rating,
        {{ lowered('status') }} as status
    from phone_numbers

)

select * from final
