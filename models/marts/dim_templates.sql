with

versions as (

    select * from {{ ref('int_templates__versions') }}

),

final as (

    select
        template_key,
        provider,
        account,
        template_id,
        name,
        language,
        category,
        status,
        quality,
        valid_from,
        valid_to,
        is_current
    from versions

)

select * from final
