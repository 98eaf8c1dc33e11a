-- Every way a phone is written in this room: one row per text, for the table of canonical keys.
with

phones as (

    select phone from {{ ref('stg_kapso__messages') }}
    union
    select phone from {{ ref('stg_kapso__conversations') }}
    union
    select phone from {{ ref('stg_kapso__contacts') }}
    union
    select phone from {{ ref('stg_kapso__calls') }}
    union
    select phone from {{ ref('stg_kapso__channels') }}
    union
    select phone from {{ ref('stg_kapso__broadcast_recipients') }}

),

final as (

    select phone
    from phones
    where phone is not null

)

select * from final
