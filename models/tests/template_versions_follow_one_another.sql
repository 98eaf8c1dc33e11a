-- Templates whose versions overlap, leave a gap, or of which not exactly one is current.
with

versions as (

    select
        *,
        lead(valid_from) over in_order as next_from,
        count(*) filter (where is_current) over (partition by template_key) as current_versions
    from {{ ref('dim_templates') }}
    window in_order as (partition by template_key order by valid_from nulls first)

),

final as (

    select template_key
    from versions
    where
        valid_to is distinct from next_from
        or is_current is distinct from (valid_to is null)
        or current_versions <> 1
        or valid_to < valid_from

)

select * from final
