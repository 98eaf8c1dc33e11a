with

listed as (

    {{ union_rooms('broadcasts') }}

),

messages as (

    select * from {{ ref('int_messages__unioned') }}

),

-- Waspy lists no campaigns: one is known by the messages that name it, from wherever they were heard of.
named as (

    select
        provider,
        account,
        campaign_id,
        min(template_name) as template_name,
        min(occurred_at) as started_at
    from messages
    where campaign_id is not null
    group by provider, account, campaign_id

),

broadcasts as (

    select
        coalesce(listed.provider, named.provider) as provider,
        coalesce(listed.account, named.account) as account,
        coalesce(listed.broadcast_id, named.campaign_id) as broadcast_id,
        listed.name,
        listed.status,
        coalesce(listed.template_name, named.template_name) as template_name,
        listed.template_language,
        coalesce(listed.started_at, named.started_at) as started_at,
        listed.completed_at,
        listed.recipients,
        listed.sent,
        listed.delivered,
        listed.read,
        listed.responded,
        listed.failed
    from listed
    full join named
        on
            listed.provider = named.provider
            and listed.account = named.account
            and listed.broadcast_id = named.campaign_id

),

templates as (

    select * from {{ ref('int_templates__named') }}

),

sends as (

    select * from {{ ref('fct_template_sends') }}

),

counted as (

    select
        provider,
        account,
        broadcast_id,
        count(*) as recipients,
        count(*) filter (where not is_failed) as sent,
        count(*) filter (where is_delivered) as delivered,
        count(*) filter (where is_read) as read,
        count(*) filter (where replied_at is not null) as responded,
        count(*) filter (where is_failed) as failed
    from sends
    where broadcast_id is not null
    group by provider, account, broadcast_id

),

-- The provider's counts come first: its own messages may not all be here.
final as (

    select
        -- keys
        {{ mart_key('broadcasts', 'broadcast_id') }} as broadcast_key,
        broadcasts.provider,
        broadcasts.account,
        broadcasts.broadcast_id,
        templates.template_key,

        -- what it is
        broadcasts.name,
        broadcasts.status,
        broadcasts.started_at,
        broadcasts.completed_at,

        -- whom it reached
        coalesce(broadcasts.recipients, counted.recipients, 0) as recipients,
        coalesce(broadcasts.sent, counted.sent, 0) as sent,
        coalesce(broadcasts.delivered, counted.delivered, 0) as delivered,
        coalesce(broadcasts.read, counted.read, 0) as read,
        coalesce(broadcasts.responded, counted.responded, 0) as responded,
        coalesce(broadcasts.failed, counted.failed, 0) as failed
    from broadcasts
    left join counted
        on
            broadcasts.provider = counted.provider
            and broadcasts.account = counted.account
            and broadcasts.broadcast_id = counted.broadcast_id
    left join templates
        on
            broadcasts.provider = templates.provider
            and broadcasts.account = templates.account
            and broadcasts.template_name = templates.template_name
            and coalesce(broadcasts.template_language, '') = templates.template_language

)

select * from final
