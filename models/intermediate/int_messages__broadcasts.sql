-- The broadcast that a template message belongs to, found by whom and when it was sent to.
{{ by('message_id') }}
-- depends_on: {{ ref('int_templates__named') }}

with

messages as (

    select * from {{ ref('int_messages__unioned') }}
    {{ where_touched('message_id') }}

),

identities as (

    select * from {{ ref('int_contacts__identities') }}

),

addressed as (

    select * from {{ ref('int_broadcasts__addressed') }}

),

sends as (

    select
        messages.message_key,
        messages.message_id,
        messages.provider,
        messages.account,
        messages.template_name,
        messages.occurred_at,
        identities.phone_key,
        identities.bsuid
    from messages
    inner join identities on messages.identity_key = identities.identity_key
    where messages.direction = 'outbound' and messages.message_type = 'template'

),

templates as (

    select
        *,
        phone_key as addressee
    from sends
    union all
    select
        *,
        bsuid as addressee
    from sends

),

-- No list links a recipient to its message: same account, customer and template, two minutes apart at most.
matched as (

    select
        templates.message_key,
        templates.message_id,
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
            and templates.addressee = addressed.addressee
            and templates.template_name = addressed.template_name
            and addressed.sent_at between templates.occurred_at - interval '120 seconds'
            and templates.occurred_at + interval '120 seconds'

),

final as (

    select
        message_key,
        message_id,
        broadcast_id
    from matched
    where choice = 1

)

select * from final
