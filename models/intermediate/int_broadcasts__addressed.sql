-- Whom broadcasts were sent to: what a template message is matched with.
{{ by(
    'recipient_id',
    before=[
        "{{ touch('recipient_id', this, 'broadcast_id') }}",
        "{{ touch('addressee', this, 'recipient_id', key='addressee') }}",
    ],
    after=["{{ touch('addressee', this, 'recipient_id', key='addressee') }}"],
) }}

with

recipients as (

    {{ union_rooms('broadcast_recipients') }}

),

broadcasts as (

    {{ union_rooms('broadcasts') }}

),

phone_keys as (

    select * from {{ source('intermediate', 'phone_keys') }}

),

-- One whose broadcast is not there yet is kept: it finds it when it comes.
final as (

    select
        recipients.provider,
        recipients.account,
        recipients.recipient_id,
        recipients.broadcast_id,
        recipients.sent_at,
        broadcasts.template_name,
        coalesce(phone_keys.phone_key, {{ digits('recipients.phone') }}, recipients.bsuid) as addressee
    from recipients
    left join broadcasts
        on
            recipients.provider = broadcasts.provider
            and recipients.account = broadcasts.account
            and recipients.broadcast_id = broadcasts.broadcast_id
    left join phone_keys on recipients.phone = phone_keys.phone
    {{ where_touched('recipient_id') }}

)

select * from final
