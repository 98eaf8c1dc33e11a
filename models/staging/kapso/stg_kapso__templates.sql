with

templates as (

    select * from {{ source('raw_kapso', 'templates') }}

),

-- Kapso's older list has copies with ids of its own: Meta's row of the same name stands for both.
originals as (

    select distinct
        account,
        name,
        language
    from templates
    where {{ matches('id', '^[0-9]+$') }}

),

kept as (

    select templates.*
    from templates
    left join originals
        on
            templates.account = originals.account
            and templates.name = originals.name
            and templates.language = originals.language
    where originals.name is null or {{ matches('templates.id', '^[0-9]+$') }}

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
        lower(coalesce(
            {{ json_text(to_json('quality_score'), ['score']) }},
            case when {{ matches('quality_score', '^[A-Za-z_]+$') }} then quality_score end,
            {{ json_text(to_json('payload'), ['quality_score_category']) }}
        )) as quality
    from kept

)

select * from final
