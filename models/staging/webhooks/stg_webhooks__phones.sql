-- Every way a phone is written in webhooks: one row per text, for the table of canonical keys.
with

phones as (

    select phone from {{ ref('stg_webhooks__messages') }}
    union
    select phone from {{ ref('stg_webhooks__conversations') }}
    union
    select phone from {{ ref('stg_webhooks__calls') }}

),

final as (

    select phone
    from phones
    where phone is not null

)

select * from final
