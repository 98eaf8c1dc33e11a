with

templates as (

    {{ union_rooms('templates') }}

),

-- Only the current row is known yet: no version has ended.
final as (

    select
        {{ mart_key('templates', 'template_id') }} as template_key,
        provider,
        account,
        template_id,
        name,
        language,
        category,
        status,
        quality,
        cast(null as timestamptz) as valid_from,
        cast(null as timestamptz) as valid_to,
        true as is_current
    from templates

)

select * from final
