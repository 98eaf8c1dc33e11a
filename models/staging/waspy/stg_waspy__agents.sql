with

conversations as (

    select * from {{ source('raw_waspy', 'conversations') }}

),

-- The API lists no agents: they are ids in other rows, and names come from the seed.
final as (

    select
        'waspy' as provider,
        account,
        cast(null as text) as agent_id,
        cast(null as text) as name,
        cast(null as text) as email,
        cast(null as text) as role,
        fetched_at
    from conversations
    where false

)

select * from final
