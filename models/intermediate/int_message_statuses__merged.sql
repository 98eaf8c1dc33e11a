with

events as (

    {{ union_rooms('message_statuses') }}

),

final as (

    select
        {{ mart_key('events', 'message_id') }} as message_key,
        max({{ status_rank('status') }}) as status_rank,
        bool_or({{ is_failure('status') }}) as has_failed,
        min(occurred_at) filter (where status = 'sent') as sent_at,
        min(occurred_at) filter (where status = 'delivered') as delivered_at,
        min(occurred_at) filter (where status = 'read') as read_at,
        min(occurred_at) filter (where status = 'played') as played_at,
        min(occurred_at) filter (where {{ is_failure('status') }}) as failed_at,
        min(error_code) filter (where {{ is_failure('status') }}) as error_code,
        max(pricing_category) as pricing_category,
        max(pricing_type) as pricing_type
    from events
    group by 1

)

select * from final
