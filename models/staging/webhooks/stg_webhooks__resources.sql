-- The deliveries of an account as a resource beside those of its API.
with

deliveries as (

    select
        provider,
        account,
        count(*) as row_count,
        max(received_at) as last_row_at,
        min(received_at) as first_row_at
    from {{ source('raw_webhooks', 'deliveries') }}
    group by provider, account

),

rejected as (

    select
        provider,
        account,
        count(*) as row_count
    from {{ source('raw_webhooks', 'rejected') }}
    group by provider, account

),

positions as (

    select max(updated_at) as ingested_at
    from {{ source('raw_webhooks', 'positions') }}
    where name = 'log' or name like 'log %'  -- each receiver's log has its own

),

final as (

    select
        deliveries.provider,
        deliveries.account,
        'deliveries' as resource,
        deliveries.row_count,
        deliveries.last_row_at,
        cast(null as timestamptz) as first_synced_at,
        positions.ingested_at as last_synced_at,
        cast(null as boolean) as is_complete,  -- nobody knows what was not delivered
        case
            when rejected.row_count > 0
                then 'not understood: ' || cast(rejected.row_count as text)
        end as last_error,
        deliveries.first_row_at
    from deliveries
    cross join positions
    left join rejected
        on
            deliveries.provider = rejected.provider
            and deliveries.account = rejected.account

)

select * from final
