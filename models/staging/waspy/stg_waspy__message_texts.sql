with

messages as (

    select
        account,
        id,
        {{ to_json('content') }} as content_json
    from {{ source('raw_waspy', 'messages') }}

),

final as (

    select
        'waspy' as provider,
        account,
        id as message_id,
        coalesce(
            {{ json_text('content_json', ['text']) }},
            {{ json_text('content_json', ['body']) }},
            {{ json_text('content_json', ['caption']) }}
        ) as message_text
    from messages

)

select * from final
