-- Who is behind what raw rows say of a customer. Whom a broadcast newly went to counts as renewed: their
-- messages look for theirs.
{{ by(
    'identity_key',
    before=[
        "{{ touch('identity_key', this, 'phone_key') }}",
        "{{ touch('identity_key', this, 'bsuid') }}",
        "{{ remember('identity_key', who_it_is()) }}",
    ],
    after=[
        "{{ touch_renewed('renewed_identity', 'identity_key', who_it_is()) }}",
        "{{ touch('renewed_identity', this, 'addressee', column='phone_key', key='identity_key') }}",
        "{{ touch('renewed_identity', this, 'addressee', column='bsuid', key='identity_key') }}",
        "{{ touch('message_id', ref('int_messages__unioned'), 'renewed_identity', column='identity_key') }}",
        "{{ touch('conversation_id', ref('int_conversations__unioned'), 'renewed_identity', column='identity_key') }}",
        "{{ touch('call_id', ref('int_calls__unioned'), 'renewed_identity', column='identity_key') }}",
    ],
) }}
-- depends_on: {{ ref('int_broadcasts__addressed') }}

with

messages as (

    select * from {{ ref('int_messages__unioned') }}
    {{ where_touched('identity_key') }}

),

conversations as (

    select * from {{ ref('int_conversations__unioned') }}
    {{ where_touched('identity_key') }}

),

calls as (

    select * from {{ ref('int_calls__unioned') }}
    {{ where_touched('identity_key') }}

),

contacts as (

    select * from {{ ref('int_contacts__keyed') }}

),

phone_keys as (

    select * from {{ source('intermediate', 'phone_keys') }}

),

identities as (

    select
        provider,
        account,
        contact_id,
        bsuid,
        phone
    from messages
    union
    select
        provider,
        account,
        contact_id,
        bsuid,
        phone
    from conversations
    union
    select
        provider,
        account,
        contact_id,
        bsuid,
        phone
    from calls

),

keyed as (

    select
        identities.*,
        {{ identity_key('identities') }} as identity_key,
        coalesce(phone_keys.phone_key, {{ digits('identities.phone') }}) as phone_key,
        phone_keys.phone_e164,
        coalesce(phone_keys.country_code, left(identities.bsuid, 2)) as country_code
    from identities
    left join phone_keys on identities.phone = phone_keys.phone

),

by_bsuid as (

    select
        keyed.identity_key,
        contacts.contact_id,
        row_number() over (
            partition by keyed.identity_key
            order by contacts.created_at nulls last, {{ bytewise('contacts.contact_id') }}
        ) as choice
    from keyed
    inner join contacts
        on
            keyed.provider = contacts.provider
            and keyed.account = contacts.account
            and keyed.bsuid = contacts.bsuid

),

by_phone as (

    select
        keyed.identity_key,
        contacts.contact_id,
        row_number() over (
            partition by keyed.identity_key
            order by contacts.created_at nulls last, {{ bytewise('contacts.contact_id') }}
        ) as choice
    from keyed
    inner join contacts
        on
            keyed.provider = contacts.provider
            and keyed.account = contacts.account
            and keyed.phone_key = contacts.phone_key

),

matched as (

    select
        keyed.*,
        coalesce(keyed.contact_id, by_bsuid.contact_id, by_phone.contact_id) as known_contact_id
    from keyed
    left join by_bsuid
        on keyed.identity_key = by_bsuid.identity_key and by_bsuid.choice = 1
    left join by_phone
        on keyed.identity_key = by_phone.identity_key and by_phone.choice = 1

),

named as (

    select
        *,
        coalesce(known_contact_id, 'phone:' || phone_key, 'bsuid:' || bsuid) as contact_name
    from matched

),

final as (

    select
        identity_key,
        provider,
        account,
        contact_name,
        {{ mart_key('named', 'contact_name') }} as contact_key,
        known_contact_id as contact_id,
        phone_key,
        phone_e164,
        country_code,
        bsuid
    from named

)

select * from final
