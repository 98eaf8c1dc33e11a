with

listed as (

    {{ union_rooms('broadcasts') }}

),

messages as (

    select * from {{ ref('int_messages__unioned') }}

),

-- A campaign may be known only by a message that names it, from wherever that was heard of.
named as (

    select
        messages.provider,
        messages.account,
        messages.campaign_id as broadcast_id,
        min(messages.template_name) as template_name,
        min(messages.occurred_at) as started_at
    from messages
    left join listed
        on
            messages.provider = listed.provider
            and messages.account = listed.account
            and messages.campaign_id = listed.broadcast_id
    where messages.campaign_id is not null and listed.broadcast_id is null
    group by messages.provider, messages.account, messages.campaign_id

),

broadcasts as (

    select * from listed
    union all
    select
        provider,
        account,
        broadcast_id,
        cast(null as text) as name,
        cast(null as text) as status,
        template_name,
        cast(null as text) as template_language,
        started_at,
        cast(null as timestamptz) as completed_at,
        cast(null as bigint) as recipients,
        cast(null as bigint) as sent,
        cast(null as bigint) as delivered,
        cast(null as bigint) as read,
        cast(null as bigint) as responded,
        cast(null as bigint) as failed
    from named

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
