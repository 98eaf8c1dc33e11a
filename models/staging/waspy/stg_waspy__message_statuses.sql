with

states as (

    select * from {{ source('raw_waspy', 'message_states') }}

),

-- A row carries its newest status; here are those that it had before. No time of any is told.
final as (

    select
        'waspy' as provider,
        account,
        message_id,
        {{ lowered('status') }} as status,
        cast(null as timestamptz) as occurred_at,
        cast(null as text) as error_code,
        cast(null as text) as pricing_category,
        cast(null as text) as pricing_type
    from states

)

select * from final
