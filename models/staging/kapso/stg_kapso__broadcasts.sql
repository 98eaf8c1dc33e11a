with

broadcasts as (

    select
        *,
        {{ to_json('whatsapp_template') }} as template_json
    from {{ source('raw_kapso', 'broadcasts') }}

),

final as (

    select
        -- ids
        'kapso' as provider,
        account,
        id as broadcast_id,

        -- what it is
        {{ clean('name') }} as name,
        {{ lowered('status') }} as status,
        {{ json_text('template_json', ['name']) }} as template_name,
        coalesce(
            {{ json_text('template_json', ['language_code']) }}, {{ json_text('template_json', ['language']) }}
        ) as template_language,
        {{ to_instant('started_at') }} as started_at,
        {{ to_instant('completed_at') }} as completed_at,

        -- the provider's own counts; each stage includes the later ones
        {{ to_integer('total_recipients') }} as recipients,
        {{ to_integer('sent_count') }} as sent,
        {{ to_integer('delivered_count') }} as delivered,
        {{ to_integer('read_count') }} as read,
        {{ to_integer('responded_count') }} as responded,
        {{ to_integer('failed_count') }} as failed
    from broadcasts

)

select * from final
