with

conversations as (

    select * from {{ source('raw_waspy', 'conversations') }}

),

-- The API lists no handovers: they are seen in the states of conversations.
final as (

    select
        'waspy' as provider,
        account,
        cast(null as text) as assignment_id,
        cast(null as text) as conversation_id,
        cast(null as text) as agent_id,
        cast(null as timestamptz) as assigned_at,
        cast(null as boolean) as is_active
    from conversations
    where false

)

select * from final
