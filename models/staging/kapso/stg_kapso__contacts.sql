with

contacts as (

    select * from {{ source('raw_kapso', 'contacts') }}

),

final as (

    select
        -- ids
        'kapso' as provider,
        account,
        id as contact_id,
        {{ phone_in('wa_id') }} as phone,
        coalesce({{ clean('business_scoped_user_id') }}, {{ bsuid_in('wa_id') }}) as bsuid,
        {{ clean('username') }} as username,

        -- what is known of them
        coalesce({{ clean('display_name') }}, {{ clean('profile_name') }}) as display_name,
        cast(null as text) as tags,
        cast(null as boolean) as opted_in,

        -- times
        {{ to_instant('created_at') }} as created_at,
        fetched_at
    from contacts

)

select * from final
