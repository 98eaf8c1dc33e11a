-- Contacts are one person when a phone or a BSUID connects them, through others too.
with recursive

contacts as (

    select * from {{ ref('int_contacts__known') }}

),

links as (

    select
        'phone:' || phone_key as node,
        'bsuid:' || bsuid as neighbour
    from contacts
    where phone_key is not null and bsuid is not null
    union
    select
        'bsuid:' || bsuid as node,
        'phone:' || phone_key as neighbour
    from contacts
    where phone_key is not null and bsuid is not null

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
