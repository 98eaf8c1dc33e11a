{{ by('message_id') }}
-- depends_on: {{ ref('int_contacts__identities') }}
-- depends_on: {{ ref('int_templates__named') }}

with

told as (

    select * from {{ ref('stg_webhooks__message_statuses') }}

),

names as (

    select * from {{ ref('int_messages__named') }}

),

listed as (

    {{ union_rooms('message_statuses') }}

),

events as (

    select
        provider,
        account,
        message_id,
        status,
        occurred_at,
        error_code,
        pricing_category,
        pricing_type,
        false as is_told
    from listed
    union all
    select
        told.provider,
        told.account,
        coalesce(told.message_id, names.message_id, told.wa_message_id) as message_id,
        told.status,
        told.occurred_at,
        told.error_code,
        told.pricing_category,
        told.pricing_type,
        true as is_told
    from told
    left join names
        on
            told.message_id is null
            and told.provider = names.provider
            and told.account = names.account
            and told.wa_message_id = names.wa_message_id

),

final as (

    select
        {{ mart_key('events', 'message_id') }} as message_key,
        message_id,
        max({{ status_rank('status') }}) as status_rank,
        bool_or({{ is_failure('status') }}) as has_failed,
        min(occurred_at) filter (where status = 'sent') as sent_at,
        min(occurred_at) filter (where status = 'delivered') as delivered_at,
        min(occurred_at) filter (where status = 'read') as read_at,
        min(occurred_at) filter (where status = 'played') as played_at,
        min(occurred_at) filter (where {{ is_failure('status') }}) as failed_at,
        -- of several the one that says that the window was closed
        coalesce(
            max(error_code) filter (where {{ is_failure('status') }} and error_code = '131047'),
            min(error_code) filter (where {{ is_failure('status') }})
        ) as error_code,
        max(pricing_category) as pricing_category,
        max(pricing_type) as pricing_type,
        bool_or(is_told) as is_told
    from events
    {{ where_touched_raw('message_id') }}
    group by 1, 2

)

select * from final
