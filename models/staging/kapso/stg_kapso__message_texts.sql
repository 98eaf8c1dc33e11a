with

messages as (

    select * from {{ source('raw_kapso', 'messages') }}

),

final as (

    select
        'kapso' as provider,
        account,
        id as message_id,
        {{ kapso_text() }} as message_text
    from messages

)

select * from final
