with

conversations as (

    select * from {{ ref('stg_kapso__conversations') }}

),

-- The list names no time of ending, and 24 hours of silence end a conversation too: no closes here.
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
