with

resources as (

    select * from {{ ref('int_resources__unioned') }}

),

final as (

    select
        provider,
        account,
        resource,
        row_count as rows,
        last_row_at,
        last_synced_at,
        is_complete,
        last_error
    from resources

)

select * from final
