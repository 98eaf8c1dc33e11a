with

templates as (

    select * from {{ source('raw_waspy', 'templates') }}

),

final as (

    select
        'waspy' as provider,
        account,
        id as template_id,
        {{ clean('name') }} as name,
        coalesce({{ json_text(to_json('language'), ['code']) }}, {{ clean('language') }}) as language,
        {{ lowered('category') }} as category,
        {{ lowered('status') }} as status,
        cast(null as text) as quality
    from templates

)

select * from final
