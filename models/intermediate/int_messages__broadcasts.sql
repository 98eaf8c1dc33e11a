-- The broadcast that a template message belongs to, found by whom and when it was sent to.
with

messages as (

    select * from {{ ref('int_messages__unioned') }}

),

identities as (

    select * from {{ ref('int_contacts__identities') }}

),

recipients as (

    {{ union_rooms('broadcast_recipients') }}

),

broadcasts as (

    {{ union_rooms('broadcasts') }}

),

phone_keys as (

    select * from {{ source('intermediate', 'phone_keys') }}

),

addressed as (

    select
        recipients.provider,
        recipients.account,
        recipients.recipient_id,
        recipients.broadcast_id,
        recipients.sent_at,
        broadcasts.template_name,
        coalesce(phone_keys.phone_key, {{ digits('recipients.phone') }}) as phone_key
    from recipients
    inner join broadcasts
        on
            recipients.provider = broadcasts.provider
            and recipients.account = broadcasts.account
            and recipients.broadcast_id = broadcasts.broadcast_id
    left join phone_keys on recipients.phone = phone_keys.phone

),

templates as (

    select
        messages.message_key,
        messages.provider,
        messages.account,
        messages.template_name,
        messages.occurred_at,
        identities.phone_key
    from messages
    inner join identities on messages.identity_key = identities.identity_key
    where messages.direction = 'outbound' and messages.message_type = 'template'

),

-- No list links a recipient to its message: same account, phone and template, two minutes apart at most.
matched as (

    select
        templates.message_key,
        addressed.broadcast_id,
        row_number() over (
            partition by templates.message_key
            order by
                greatest(addressed.sent_at, templates.occurred_at) - least(addressed.sent_at, templates.occurred_at),
                {{ bytewise('addressed.recipient_id') }}
        ) as choice
    from templates
    inner join addressed
        on
            templates.provider = addressed.provider
            and templates.account = addressed.account
            and templates.phone_key = addressed.phone_key
            and templates.template_name = addressed.template_name
            and addressed.sent_at between templates.occurred_at - interval '120 seconds'
            and templates.occurred_at + interval '120 seconds'

),

final as (

    select
        message_key,
        broadcast_id
    from matched
    where choice = 1

)

select * from final
