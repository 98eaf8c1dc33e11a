with

channels as (

    select * from {{ source('raw_waspy', 'channels') }}

),

final as (

    select
        'waspy' as provider,
        account,
        id as channel_id,
        coalesce({{ clean('name') }}, {{ clean('display_name') }}) as name,
        {{ clean('phone_number') }} as phone,
        {{ lowered('quality_rating') }} as quality_rating,
        {{ lowered('status') }} as status
    from channels

)

select * from final
