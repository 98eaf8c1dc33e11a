with

conversations as (

    select * from {{ ref('stg_waspy__conversations') }}

),

-- No time of closing is given: a close is known from the moment a sync first saw it.
final as (

    select
        provider,
        account,
        conversation_id,
        ended_at as occurred_at
    from conversations
    where ended_at is not null

)

select * from final
