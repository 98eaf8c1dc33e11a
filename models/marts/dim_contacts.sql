with

contacts as (

    select * from {{ ref('int_contacts__known') }}

),

persons as (

    select * from {{ ref('int_contacts__persons') }}

),

messages as (

    select * from {{ ref('int_messages__classified') }}

),

active as (

    select
        contact_key,
        min(occurred_at) as first_message_at,
        max(occurred_at) filter (where direction = 'inbound') as last_inbound_at
    from messages
    group by contact_key

),

final as (

    select
        -- keys
        contacts.contact_key,
        contacts.provider,
        contacts.account,
        contacts.contact_id,
        persons.person_key,

        -- who they are
        contacts.display_name,
        contacts.phone_e164,
        contacts.phone_key,
        contacts.bsuid,
        contacts.username,
        contacts.country_code,
        contacts.tags,
        contacts.opted_in,

        -- when they were here
        least(contacts.created_at, active.first_message_at) as first_seen_at,
        active.last_inbound_at,
        contacts.is_deleted
    from contacts
    inner join persons on contacts.contact_key = persons.contact_key
    left join active on contacts.contact_key = active.contact_key

)

select * from final
