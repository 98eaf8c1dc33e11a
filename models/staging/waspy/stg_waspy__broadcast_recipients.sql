with

messages as (

    select * from {{ source('raw_waspy', 'messages') }}

),

-- A campaign's messages name it themselves: no recipients to match.
final as (

    select
        'waspy' as provider,
        account,
        cast(null as text) as recipient_id,
        cast(null as text) as broadcast_id,
        cast(null as text) as phone,
        cast(null as text) as bsuid,
        cast(null as timestamptz) as sent_at,
        fetched_at
    from messages
    where false

)

select * from final
