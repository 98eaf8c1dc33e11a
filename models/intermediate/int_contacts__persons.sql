-- Contacts are one person when a phone or a BSUID connects them, through others too.
with recursive

contacts as (

    select * from {{ ref('int_contacts__known') }}

),

identities as (

    select * from {{ ref('int_contacts__identities') }}

),

-- A customer who stands in no list is known by what messages said, which may be several BSUIDs.
told as (

    select
        contact_key,
        phone_key,
        bsuid
    from contacts
    union
    select
        contact_key,
        phone_key,
        bsuid
    from identities
    where contact_id is null and contact_key is not null

),

names as (

    select
        contact_key,
        'phone:' || phone_key as node
    from told
    where phone_key is not null
    union
    select
        contact_key,
        'bsuid:' || bsuid as node
    from told
    where bsuid is not null

),

links as (

    select distinct
        names.node,
        others.node as neighbour
    from names
    inner join names as others
        on
            names.contact_key = others.contact_key
            and names.node <> others.node

),

reached as (

    select
        node,
        node as reaches
    from links
    union
    select
        reached.node,
        links.neighbour as reaches
    from reached
    inner join links on reached.reaches = links.node

),

roots as (

    select
        node,
        min({{ bytewise('reaches') }}) as root
    from reached
    group by node

),

named as (

    select
        contact_key,
        coalesce('phone:' || phone_key, 'bsuid:' || bsuid, contact_key) as node
    from contacts

),

final as (

    select
        named.contact_key,
        'person:' || md5(coalesce(roots.root, named.node)) as person_key
    from named
    left join roots on named.node = roots.node

)

select * from final
