with

messages as (

    select * from {{ source('raw_waspy', 'messages') }}

),

-- A row carries its newest status and no time of any: there are no events to read here.
final as (

    select
        'waspy' as provider,
        account,
        id as message_id,
        cast(null as text) as status,
        cast(null as timestamptz) as occurred_at,
        cast(null as text) as error_code,
        cast(null as text) as pricing_category,
        cast(null as text) as pricing_type
    from messages
    where false

)

select * from final
