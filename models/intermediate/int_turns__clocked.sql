{{ config(materialized='view', tags=['clock']) }}

with

ended as (

    select * from {{ ref('int_turns__ended') }}

),

waiting as (

    select * from {{ ref('int_turns__waiting') }}

),

final as (

    select * from ended
    union all
    select * from waiting

)

select * from final
