with

contacts as (

    select * from {{ source('raw_waspy', 'contacts') }}

),

conversations as (

    select * from {{ source('raw_waspy', 'conversations') }}

),

gone as (

    select
        account,
        provider_id
    from {{ source('raw_waspy', 'gone') }}
    where resource = 'contacts' and missed_since is not null

),

listed as (

    select
        contacts.account,
        contacts.id as contact_id,
        contacts.phone_number as customer,
        {{ clean('name') }} as display_name,
        {{ clean('tags') }} as tags,
        {{ to_boolean('opted_in') }} as opted_in,
        gone.provider_id is not null as is_deleted,
        {{ to_instant('created_at') }} as created_at,
        contacts.fetched_at
    from contacts
    left join gone
        on contacts.account = gone.account and contacts.id = gone.provider_id

),

-- Conversations name their contact too: enough to know one that the list did not give yet.
embedded as (

    select
        account,
        coalesce({{ clean('contact_id') }}, {{ json_text(to_json('contact'), ['id']) }}) as contact_id,
        max({{ json_text(to_json('contact'), ['phoneNumber']) }}) as customer,
        max({{ bytewise(json_text(to_json('contact'), ['name'])) }}) as display_name,
        cast(null as text) as tags,
        cast(null as boolean) as opted_in,
        false as is_deleted,
        cast(null as timestamptz) as created_at,
        max(fetched_at) as fetched_at
    from conversations
    group by 1, 2

),

known as (

    select * from listed
    union all
    select embedded.*
    from embedded
    left join listed
        on
            embedded.account = listed.account
            and embedded.contact_id = listed.contact_id
    where
        embedded.contact_id is not null
        and listed.contact_id is null

),

final as (

    select
        -- ids
        'waspy' as provider,
        account,
        contact_id,
        {{ phone_in('customer') }} as phone,
        {{ bsuid_in('customer') }} as bsuid,
        cast(null as text) as username,

        -- what is known of them
        display_name,
        tags,
        opted_in,
        is_deleted,

        -- times
        created_at,
        fetched_at
    from known

)

select * from final
