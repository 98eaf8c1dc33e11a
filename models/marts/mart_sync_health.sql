{{ config(tags=['clock']) }}

with

resources as (

    select * from {{ ref('int_resources__unioned') }}

),

deliveries as (

    select * from {{ ref('stg_webhooks__resources') }}

),

messages as (

    select * from {{ ref('fct_messages') }}

),

-- What one way brought and the other did not, since webhooks began to come.
told as (

    select
        messages.provider,
        messages.account,
        count(*) filter (where messages.seen_in = 'webhook') as only_in_webhooks,
        count(*) filter (
            where messages.seen_in = 'api'
            and messages.occurred_at >= deliveries.first_row_at
            and not messages.is_imported
        ) as only_in_api
    from messages
    inner join deliveries
        on
            messages.provider = deliveries.provider
            and messages.account = deliveries.account
    group by messages.provider, messages.account

),

unioned as (

    select
        provider,
        account,
        resource,
        row_count,
        last_row_at,
        last_synced_at,
        is_complete,
        last_error
    from resources
    union all
    select
        provider,
        account,
        resource,
        row_count,
        last_row_at,
        last_synced_at,
        is_complete,
        last_error
    from deliveries

),

final as (

    select
        unioned.provider,
        unioned.account,
        unioned.resource,
        unioned.row_count as rows,
        unioned.last_row_at,
        unioned.last_synced_at,
        unioned.is_complete,
        unioned.last_error,
        case unioned.resource
            when 'deliveries' then coalesce(told.only_in_webhooks, 0)
            when 'messages' then told.only_in_api
        end as only_here
    from unioned
    left join told
        on
            unioned.provider = told.provider
            and unioned.account = told.account

)

select * from final
