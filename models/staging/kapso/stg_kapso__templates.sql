with

templates as (

    select * from {{ source('raw_kapso', 'templates') }}

),

final as (

    select
        'kapso' as provider,
        account,
        id as template_id,
        {{ clean('name') }} as name,
        {{ clean('language') }} as language,
        {{ lowered('category') }} as category,
        {{ lowered('status') }} as status,
        lower({{ json_text(to_json('quality_score'), ['score']) }}) as quality
    from templates

)

select * from final
