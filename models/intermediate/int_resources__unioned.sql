{{ config(tags=['clock']) }}

with

resources as (

    {{ union_rooms('resources') }}

),

final as (

    select
        provider,
        account,
        resource,
        row_count,
        last_row_at,
        first_synced_at,
        last_synced_at,
        is_complete,
        last_error
    from resources

)

select * from final
