with

counted as (

    select
        account,
        'conversations' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_waspy', 'conversations') }}
    group by account
    union all
    select
        account,
        'messages' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_waspy', 'messages') }}
    group by account
    union all
    select
        account,
        'contacts' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_waspy', 'contacts') }}
    group by account
    union all
    select
        account,
        'templates' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_waspy', 'templates') }}
    group by account
    union all
    select
        account,
        'channels' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_waspy', 'channels') }}
    group by account

),

states as (

    select * from {{ source('raw_waspy', 'sync_state') }}

),

-- A resource is known by its rows, by its state, or by both.
final as (

    select
        'waspy' as provider,
        coalesce(states.account, counted.account) as account,
        coalesce(states.resource, counted.resource) as resource,
        coalesce(counted.row_count, 0) as row_count,
        counted.last_row_at,
        states.first_synced_at,
        states.last_synced_at,
        states.is_complete,
        states.last_error
    from counted
    full outer join states
        on
            counted.account = states.account
            and counted.resource = states.resource

)

select * from final
