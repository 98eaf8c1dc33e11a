-- What Meta is estimated to charge for a message: one row per message with a charge above nothing.
with

messages as (

    select * from {{ ref('int_messages__classified') }}

),

events as (

    select * from {{ ref('int_threads__events') }}

),

contacts as (

    select * from {{ ref('int_contacts__known') }}

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

templates as (

    select * from {{ ref('int_templates__named') }}

),

versions as (

    select * from {{ ref('int_templates__versions') }}

),

rate_cards as (

    select * from {{ ref('rate_cards') }}

),

-- Only what was delivered is charged, and nothing that was typed on the phone.
delivered as (

    select
        messages.message_key,
        messages.provider,
        messages.account,
        messages.channel_key,
        messages.occurred_at,
        messages.is_template,
        messages.pricing_type,
        {{ local_day('policies.timezone', 'messages.occurred_at') }} as sent_on,
        coalesce(contacts.country_code, '*') as country_code,
        templates.template_key,
        {{ pricing_category('messages.pricing_category') }} as told_category
    from messages
    inner join policies
        on {{ same_channel('messages', 'policies') }}
    left join contacts on messages.contact_key = contacts.contact_key
    left join templates
        on
            messages.provider = templates.provider
            and messages.account = templates.account
            and messages.template_name = templates.template_name
            and coalesce(messages.template_language, '') = templates.template_language
    where
        messages.is_business_message
        and messages.status_rank >= 2
        and not messages.is_on_phone
        and messages.occurred_at >= (select min(rate_cards.valid_from) from rate_cards) - interval '1 day'

),

-- A template costs what its category was when it was sent.
categorised as (

    select
        delivered.*,
        coalesce(
            delivered.told_category,
            case when not delivered.is_template then 'service' end,
            {{ pricing_category('versions.category') }},
            '*'
        ) as category
    from delivered
    left join versions
        on
            delivered.template_key = versions.template_key
            and (versions.is_first or delivered.occurred_at >= versions.valid_from)
            and (versions.is_current or delivered.occurred_at < versions.valid_to)

),

cells as (

    select distinct
        sent_on,
        country_code,
        category
    from categorised

),

-- The row of the country and category, else of either, else the default: never a silent nothing.
rated as (

    select
        cells.sent_on,
        cells.country_code,
        cells.category,
        rate_cards.usd,
        rate_cards.is_free_in_window,
        rate_cards.free_per_month,
        row_number() over (
            partition by cells.sent_on, cells.country_code, cells.category
            order by
                case when rate_cards.category = '*' then 1 else 0 end,
                case when rate_cards.country_code = '*' then 1 else 0 end,
                rate_cards.valid_from desc
        ) as choice
    from cells
    inner join rate_cards
        on
            cells.sent_on >= rate_cards.valid_from
            and (cells.sent_on <= rate_cards.valid_to or rate_cards.valid_to is null)
            and rate_cards.country_code in (cells.country_code, '*')
            and rate_cards.category in (cells.category, '*')

),

counted as (

    select
        categorised.*,
        rated.usd,
        rated.is_free_in_window,
        rated.free_per_month,
        count(*) filter (
            where
            rated.free_per_month is not null
            and categorised.pricing_type is distinct from 'free_entry_point'
        ) over (
            partition by
                categorised.provider,
                categorised.account,
                categorised.channel_key,
                date_trunc('month', categorised.sent_on)
            order by categorised.occurred_at, {{ bytewise('categorised.message_key') }}
            rows between unbounded preceding and current row
        ) as number_in_month
    from categorised
    inner join rated
        on
            categorised.sent_on = rated.sent_on
            and categorised.country_code = rated.country_code
            and categorised.category = rated.category
            and rated.choice = 1
            and rated.usd > 0

),

final as (

    select
        counted.message_key,
        counted.usd as estimated_cost_usd
    from counted
    left join events on counted.message_key = events.message_key
    where
        case
            when counted.pricing_type is not null then not counted.pricing_type like 'free%'
            when counted.is_free_in_window and events.is_in_window then false
            when counted.free_per_month is not null then counted.number_in_month > counted.free_per_month
            else true
        end

)

select * from final
