-- depends_on: {{ ref('int_messages__unioned') }}
{{ config(post_hook="{{ touch_renamed_templates() }}") }}

with

templates as (

    {{ union_rooms('templates') }}

),

-- A message names its template, and its language when the provider tells it: '' finds any.
names as (

    select
        provider,
        account,
        template_id,
        name as template_name,
        language as template_language
    from templates
    union all
    select
        provider,
        account,
        template_id,
        name as template_name,
        '' as template_language
    from templates

),

numbered as (

    select
        *,
        row_number() over (
            partition by provider, account, template_name, template_language
            order by {{ bytewise('template_id') }}
        ) as choice
    from names

),

final as (

    select
        provider,
        account,
        template_name,
        template_language,
        template_id,
        {{ mart_key('numbered', 'template_id') }} as template_key
    from numbered
    where choice = 1

)

select * from final
