with

messages as (

    select * from {{ ref('int_messages__classified') }}

),

events as (

    select * from {{ ref('int_threads__events') }}

),

templates as (

    select * from {{ ref('int_templates__named') }}

),

final as (

    select
        -- keys
        messages.message_key,
        messages.provider,
        messages.account,
        messages.message_id,
        messages.wa_message_id,
        messages.conversation_key,
        messages.thread_key,
        messages.channel_key,
        messages.contact_key,

        -- what it is
        messages.direction,
        messages.sender_kind,
        messages.message_type,
        messages.text_length,
        templates.template_key,

        -- times
        messages.occurred_at,
        messages.status,
        messages.sent_at,
        messages.delivered_at,
        messages.read_at,
        messages.played_at,
        messages.failed_at,
        messages.error_code,

        -- what it does to turns and windows
        messages.is_request,
        messages.is_reply,
        messages.is_reply and messages.sender_kind = 'human' as is_human_reply,
        messages.opens_window,
        messages.is_imported,
        coalesce(messages.status = 'failed' and messages.error_code = '131047', false) as is_window_violation,
        coalesce(
            messages.is_business_message
            and not messages.is_template
            and messages.status_rank >= 2
            and not events.is_in_window,
            false
        ) as is_window_mismatch,
        coalesce(
            least(
                messages.sent_at,
                messages.delivered_at,
                messages.read_at,
                messages.played_at,
                messages.failed_at
            ) < messages.occurred_at
            or least(messages.delivered_at, messages.read_at, messages.played_at) < messages.sent_at
            or least(messages.read_at, messages.played_at) < messages.delivered_at,
            false
        ) as is_clock_skewed,

        -- what it cost
        messages.pricing_category,
        messages.pricing_type,
        cast(null as double precision) as estimated_cost_usd,
        messages.seen_in
    from messages
    left join events on messages.message_key = events.message_key
    left join templates
        on
            messages.provider = templates.provider
            and messages.account = templates.account
            and messages.template_name = templates.template_name
            and coalesce(messages.template_language, '') = templates.template_language

)

select * from final
