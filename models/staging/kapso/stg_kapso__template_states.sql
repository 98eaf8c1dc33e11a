with

states as (

    select * from {{ source('raw_kapso', 'template_states') }}

),

final as (

    select
        'kapso' as provider,
        account,
        {{ clean('template_id') }} as template_id,
        {{ clean('name') }} as name,
        coalesce({{ json_text(to_json('language'), ['code']) }}, {{ clean('language') }}) as language,
        {{ lowered('category') }} as category,
        {{ lowered('status') }} as status,
        {{ lowered('quality') }} as quality,
        {{ to_instant('observed_from') }} as observed_from
    from states

)

select * from final
