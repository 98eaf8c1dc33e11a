-- Every instant at which something happened: what the business clock has to reach.
{{ config(materialized='view', tags=['rows']) }}

with

closes as (

    {{ union_rooms('conversation_closes') }}

),

final as (

    select occurred_at as instant from {{ ref('int_messages__unioned') }}
    union all
    select started_at as instant from {{ ref('int_calls__unioned') }}
    union all
    select occurred_at as instant from closes
    union all
    select occurred_at as instant from {{ ref('stg_webhooks__conversation_events') }}

)

select * from final
