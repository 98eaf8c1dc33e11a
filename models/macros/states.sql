{#
The states a template was seen in, of one room: doblecheck keeps them itself, alike for all.
#}
{% macro states_of_templates(provider) %}
with

states as (

    select * from {{ source('raw_' ~ provider, 'template_states') }}

),

final as (

    select
        '{{ provider }}' as provider,
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
{% endmacro %}
