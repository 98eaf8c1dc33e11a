with

counted as (

    select
        account,
        'phone_numbers' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'phone_numbers') }}
    group by account
    union all
    select
        account,
        'conversations' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'conversations') }}
    group by account
    union all
    select
        account,
        'messages' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'messages') }}
    group by account
    union all
    select
        account,
        'contacts' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'contacts') }}
    group by account
    union all
    select
        account,
        'calls' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'calls') }}
    group by account
    union all
    select
        account,
        'templates' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'templates') }}
    group by account
    union all
    select
        account,
        'broadcasts' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'broadcasts') }}
    group by account
    union all
    select
        account,
        'broadcast_recipients' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'broadcast_recipients') }}
    group by account
    union all
    select
        account,
        'users' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'users') }}
    group by account
    union all
    select
        account,
        'customers' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'customers') }}
    group by account
    union all
    select
        account,
        'webhooks' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'webhooks') }}
    group by account
    union all
    select
        account,
        'webhook_deliveries' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'webhook_deliveries') }}
    group by account
    union all
    select
        account,
        'assignments' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'assignments') }}
    group by account
    union all
    select
        account,
        'contact_notes' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'contact_notes') }}
    group by account
    union all
    select
        account,
        'call_permissions' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'call_permissions') }}
    group by account
    union all
    select
        account,
        'api_logs' as resource,
        count(*) as row_count,
        max(fetched_at) as last_row_at
    from {{ source('raw_kapso', 'api_logs') }}
    group by account

),

states as (

    select * from {{ source('raw_kapso', 'sync_state') }}

),

-- A resource is known by its rows, by its state, or by both.
final as (

    select
        'kapso' as provider,
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
