with

statuses as (

    select * from {{ source('raw_webhooks', 'message_statuses') }}

),

final as (

    select
        provider,
        account,
        message_id,
        wa_message_id,
        status,
        {{ to_instant('occurred_at') }} as occurred_at,
        error_code,
        pricing_category,
        pricing_type,
        received_at as fetched_at
    from statuses

)

select * from final
