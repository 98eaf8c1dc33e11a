-- What a template was and from when on, as far as syncs or the provider told.
{% set told_until = {
    'name': 'looks',
    'language': 'looks',
    'category': 'categories',
    'status': 'statuses',
    'quality': 'qualities',
} %}
-- Column → how often it was told so far.

with

templates as (

    {{ union_rooms('templates') }}

),

observed as (

    {{ union_rooms('template_states') }}

),

-- A copy that gave way to its original has no versions.
states as (

    select observed.*
    from observed
    inner join templates
        on
            observed.provider = templates.provider
            and observed.account = templates.account
            and observed.template_id = templates.template_id

),

events as (

    select * from {{ ref('stg_webhooks__template_events') }}

),

names as (

    select * from {{ ref('int_templates__named') }}

),

-- A state is a whole look at the list; the row of the list stands for a template whose states nobody
-- noted. An event tells only what changed.
told as (

    select
        provider,
        account,
        template_id,
        name,
        language,
        category,
        status,
        quality,
        observed_from,
        true as is_whole
    from states
    union all
    select
        templates.provider,
        templates.account,
        templates.template_id,
        templates.name,
        templates.language,
        templates.category,
        templates.status,
        templates.quality,
        cast(null as timestamptz) as observed_from,
        true as is_whole
    from templates
    left join states
        on
            templates.provider = states.provider
            and templates.account = states.account
            and templates.template_id = states.template_id
    where states.template_id is null
    union all
    select
        templates.provider,
        templates.account,
        templates.template_id,
        cast(null as text) as name,
        cast(null as text) as language,
        events.category,
        events.status,
        events.quality,
        events.occurred_at as observed_from,
        false as is_whole
    from events
    left join names
        on
            events.template_id is null
            and events.provider = names.provider
            and events.account = names.account
            and events.name = names.template_name
            and coalesce(events.language, '') = names.template_language
    inner join templates
        on
            events.provider = templates.provider
            and events.account = templates.account
            and coalesce(events.template_id, names.template_id) = templates.template_id

),

stretched as (

    select
        *,
        row_number() over so_far as state_number,
        count(*) filter (where is_whole) over so_far as looks,
        count(*) filter (where is_whole or category is not null) over so_far as categories,
        count(*) filter (where is_whole or status is not null) over so_far as statuses,
        count(*) filter (where is_whole or quality is not null) over so_far as qualities
    from told
    window so_far as (
        partition by provider, account, template_id
        order by
            observed_from nulls first,
            is_whole,
            coalesce(category, ''),
            coalesce(status, ''),
            coalesce(quality, '')
        rows between unbounded preceding and current row
    )

),

looked_at as (

    select
        {% for column in told_until %}
            max({{ column }}) filter (where is_whole and looks = 1) over whole_life as first_{{ column }},
        {% endfor %}
        *
    from stretched
    window whole_life as (partition by provider, account, template_id)

),

-- What an event does not tell stays as it was; before the first look, as it was found then.
filled as (

    select
        provider,
        account,
        template_id,
        state_number,
        observed_from,
        {% for column, tellings in told_until.items() %}
            case
                when {{ tellings }} = 0 then first_{{ column }}
                else max({{ column }}) over (partition by provider, account, template_id, {{ tellings }})
            end as {{ column }},
        {% endfor %}
        row_number() over (
            partition by provider, account, template_id, observed_from
            order by state_number desc
        ) as from_last
    from looked_at

),

-- Several changes of one instant, as Meta tells them to the second, are one version.
seen as (

    select *
    from filled
    where from_last = 1

),

followed as (

    select
        *,
        row_number() over in_order as seen_number,
        lag(name) over in_order as previous_name,
        lag(language) over in_order as previous_language,
        lag(category) over in_order as previous_category,
        lag(status) over in_order as previous_status,
        lag(quality) over in_order as previous_quality
    from seen
    window in_order as (
        partition by provider, account, template_id
        order by state_number
    )

),

changed as (

    select *
    from followed
    where
        seen_number = 1
        or name is distinct from previous_name
        or language is distinct from previous_language
        or category is distinct from previous_category
        or status is distinct from previous_status
        or quality is distinct from previous_quality

),

final as (

    select
        provider,
        account,
        template_id,
        {{ mart_key('changed', 'template_id') }} as template_key,
        name,
        language,
        category,
        status,
        quality,
        observed_from as valid_from,
        lead(observed_from) over in_order as valid_to,
        row_number() over in_order = count(*) over (partition by provider, account, template_id) as is_current,
        seen_number = 1 as is_first
    from changed
    window in_order as (
        partition by provider, account, template_id
        order by state_number
    )

)

select * from final
