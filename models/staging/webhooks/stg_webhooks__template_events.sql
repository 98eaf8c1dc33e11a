-- One row per change of a template, however often it was told. A column that did not change is null.
with

events as (

    select
        *,
        row_number() over (
            partition by provider, account, event_key
            order by received_at, {{ bytewise('row_hash') }}, delivery_id
        ) as choice
    from {{ source('raw_webhooks', 'template_events') }}

),

final as (

    select
        provider,
        account,
        template_id,
        name,
        language,
        kind,
        status,
        category,
        quality,
        reason,
        coalesce({{ to_instant('occurred_at') }}, received_at) as occurred_at,
        received_at as fetched_at
    from events
    where choice = 1

)

select * from final
