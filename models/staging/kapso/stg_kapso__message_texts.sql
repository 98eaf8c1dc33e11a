with

messages as (

    select * from {{ source('raw_kapso', 'messages') }}

),

final as (

    select
        'kapso' as provider,
        account,
        id as message_id,
        coalesce(
            {{ json_text(to_json('messages.text'), ['body']) }},
            {{ json_text(to_json('kapso_message_type_data'), ['caption']) }},
            case when {{ lowered('"type"') }} = 'template' then {{ clean('kapso_content') }} end
        ) as message_text
    from messages

)

select * from final
