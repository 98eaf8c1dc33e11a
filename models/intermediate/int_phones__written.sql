-- Every way a phone is written anywhere: one row per text, for the table of canonical keys.
{{ config(materialized='view', tags=['rows']) }}

with

phones as (

    select phone from {{ ref('int_messages__unioned') }}
    union
    select phone from {{ ref('int_conversations__unioned') }}
    union
    select phone from {{ ref('int_calls__unioned') }}
    {% for provider in var('providers') %}
        union
        select phone from {{ ref('stg_' ~ provider ~ '__contacts') }}
        union
        select phone from {{ ref('stg_' ~ provider ~ '__channels') }}
        union
        select phone from {{ ref('stg_' ~ provider ~ '__broadcast_recipients') }}
    {% endfor %}

),

final as (

    select phone
    from phones
    where phone is not null

)

select * from final
