with

messages as (

    select * from {{ source('raw_kapso', 'messages') }}

),

events as (

    {{ json_elements('messages', 'kapso_statuses', ['account', 'id']) }}

),

final as (

    select
        'kapso' as provider,
        account,
        id as message_id,
        lower({{ json_text('element', ['status']) }}) as status,
        {{ to_message_time(json_text('element', ['timestamp'])) }} as occurred_at,
        {{ json_text('element', ['errors', 0, 'code']) }} as error_code,
        lower({{ json_text('element', ['pricing', 'category']) }}) as pricing_category,
        lower({{ json_text('element', ['pricing', 'type']) }}) as pricing_type
    from events

)

select * from final
