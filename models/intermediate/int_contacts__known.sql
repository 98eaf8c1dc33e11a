with

listed as (

    select * from {{ ref('int_contacts__keyed') }}

),

identities as (

    select * from {{ ref('int_contacts__identities') }}

),

-- Customers who wrote but stand in no contact list.
unlisted as (

    select
        identities.contact_key,
        identities.provider,
        identities.account,
        max({{ bytewise('identities.contact_id') }}) as contact_id,
        max(identities.phone_key) as phone_key,
        max(identities.phone_e164) as phone_e164,
        max(identities.country_code) as country_code,
        max({{ bytewise('identities.bsuid') }}) as bsuid
    from identities
    left join listed on identities.contact_key = listed.contact_key
    where identities.contact_key is not null and listed.contact_key is null
    group by 1, 2, 3

),

final as (

    select
        contact_key,
        provider,
        account,
        contact_id,
        phone_key,
        phone_e164,
        country_code,
        bsuid,
        username,
        display_name,
        tags,
        opted_in,
        is_deleted,
        created_at
    from listed
    union all
    select
        contact_key,
        provider,
        account,
        contact_id,
        phone_key,
        phone_e164,
        country_code,
        bsuid,
        null as username,
        null as display_name,
        null as tags,
        null as opted_in,
        false as is_deleted,
        null as created_at
    from unlisted

)

select * from final
