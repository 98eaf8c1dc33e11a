with

policies as (

    select * from {{ ref('int_channels__policies') }}

),

listed as (

    {{ union_rooms('channels') }}

),

phone_keys as (

    select * from {{ source('intermediate', 'phone_keys') }}

),

-- Channels that the list gives, and those that only messages or calls name.
final as (

    select
        {{ mart_key('policies', 'channel_id') }} as channel_key,
        policies.provider,
        policies.account,
        policies.channel_id,
        listed.name,
        phone_keys.phone_e164,
        listed.quality_rating,
        listed.status,
        policies.timezone
    from policies
    left join listed
        on
            policies.provider = listed.provider
            and policies.account = listed.account
            and policies.channel_id = listed.channel_id
    left join phone_keys on listed.phone = phone_keys.phone
    where policies.channel_id is not null

)

select * from final
