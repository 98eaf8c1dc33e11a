{{ config(tags=['clock']) }}

with

rejected as (

    {{ union_rooms('rejected') }}
    union all
    select * from {{ ref('stg_webhooks__rejected') }}

),

final as (

    select
        provider,
        account,
        coalesce(resource, 'unknown') as resource,
        coalesce(reason, 'unknown') as reason,
        count(*) as rows,
        min(rejected_at) as first_rejected_at,
        max(rejected_at) as last_rejected_at
    from rejected
    group by provider, account, coalesce(resource, 'unknown'), coalesce(reason, 'unknown')

)

select * from final
