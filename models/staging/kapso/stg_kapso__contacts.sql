with

contacts as (

    select * from {{ source('raw_kapso', 'contacts') }}

),

gone as (

    select
        account,
        provider_id
    from {{ source('raw_kapso', 'gone') }}
    where resource = 'contacts' and missed_since is not null

),

final as (

    select
        -- ids
        'kapso' as provider,
        contacts.account,
        contacts.id as contact_id,
        {{ phone_in('wa_id') }} as phone,
        coalesce({{ clean('business_scoped_user_id') }}, {{ bsuid_in('wa_id') }}) as bsuid,
        ltrim({{ clean('username') }}, '@') as username,

        -- what is known of them
        coalesce({{ clean('display_name') }}, {{ clean('profile_name') }}) as display_name,
        cast(null as text) as tags,
        cast(null as boolean) as opted_in,
        gone.provider_id is not null as is_deleted,

        -- times
        {{ to_instant('created_at') }} as created_at,
        contacts.fetched_at
    from contacts
    left join gone
        on contacts.account = gone.account and contacts.id = gone.provider_id

)

select * from final
