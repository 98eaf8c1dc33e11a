{{ by('thread_key', kind='repriced_thread', before=["{{ touch_repriced_threads() }}"]) }}

with

messages as (

    select * from {{ ref('int_messages__classified') }}
    {{ where_touched('repriced_thread', 'thread_key') }}

),

-- A join with these few, not with every event.
outside_windows as (

    select message_key from {{ ref('int_threads__events') }}
    where not is_in_window and message_key is not null

),

priced as (

    select * from {{ ref('int_messages__priced') }}

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

-- Before its day, on the channel's calendar, Meta charged conversations, not messages.
first_card as (

    select min(valid_from) as valid_from
    from {{ ref('rate_cards') }}

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
        cast(messages.text_length as bigint) as text_length,
        messages.template_key,

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
            and outside_windows.message_key is not null,
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
        coalesce(
            priced.estimated_cost_usd,
            case
                when
                    messages.direction = 'outbound'
                    and messages.is_live
                    and {{ local_day('policies.timezone', 'messages.occurred_at') }} >= first_card.valid_from
                    then 0
            end
        ) as estimated_cost_usd,
        messages.seen_in
    from messages
    left join priced on messages.message_key = priced.message_key
    left join policies
        on {{ same_channel('messages', 'policies') }}
    cross join first_card
    left join outside_windows on messages.message_key = outside_windows.message_key

)

select * from final
