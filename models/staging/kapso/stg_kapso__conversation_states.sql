with

conversations as (

    select * from {{ ref('stg_kapso__conversations') }}

),

-- Kapso ends a session once and starts another: its row says all there is, and no history is kept.
final as (

    select
        provider,
        account,
        conversation_id,
        status,
        assigned_agent_id,
        fetched_at as observed_from
    from conversations
    where false

)

select * from final
