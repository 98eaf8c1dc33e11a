{{ by('contact_id', notes=['phone_key', 'bsuid']) }}
-- depends_on: {{ ref('int_conversations__unioned') }}

with

contacts as (

    {{ union_rooms('contacts') }}

),

phone_keys as (

    select * from {{ source('intermediate', 'phone_keys') }}

),

final as (

    select
        contacts.*,
        {{ mart_key('contacts', 'contact_id') }} as contact_key,
        coalesce(phone_keys.phone_key, {{ digits('contacts.phone') }}) as phone_key,
        phone_keys.phone_e164,
        coalesce(phone_keys.country_code, left(contacts.bsuid, 2)) as country_code
    from contacts
    left join phone_keys on contacts.phone = phone_keys.phone
    {{ where_touched('contact_id') }}

)

select * from final
