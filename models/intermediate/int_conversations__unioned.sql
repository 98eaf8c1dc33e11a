-- One row per conversation. The list has the last word, except on an end that it has not seen yet.
{{ by(
    'conversation_id',
    notes=['identity_key', 'contact_id'],
    before=["{{ remember('conversation_id', read_by_messages()) }}"],
    after=["{{ touch_renewed('renewed_conversation', 'conversation_id', read_by_messages()) }}"],
    tags=['rows'],
) }}

with

listed as (

    {{ union_rooms('conversations') }}

),

told as (

    select * from {{ ref('stg_webhooks__conversations') }}

),

fresh as (

    select told.*
    from told
    left join listed
        on
            told.provider = listed.provider
            and told.account = listed.account
            and told.conversation_id = listed.conversation_id
    where listed.conversation_id is null

),

conversations as (

    select
        *,
        'list' as told_by
    from listed
    {{ where_touched('conversation_id') }}
    union all
    select
        *,
        'webhook' as told_by
    from fresh
    {{ where_touched('conversation_id') }}

),

ends as (

    select
        provider,
        account,
        conversation_id,
        max(occurred_at) as ended_at,
        max(fetched_at) as told_at
    from {{ ref('stg_webhooks__conversation_events') }}
    where kind = 'ended'
    group by 1, 2, 3

),

-- A conversation that the list showed as active after it was told to have ended was opened again.
judged as (

    select
        conversations.*,
        ends.ended_at as told_ended_at,
        coalesce(
            ends.ended_at is not null
            and (conversations.status = 'ended' or conversations.fetched_at < ends.told_at),
            false
        ) as is_told_ended
    from conversations
    left join ends
        on
            conversations.provider = ends.provider
            and conversations.account = ends.account
            and conversations.conversation_id = ends.conversation_id

),

final as (

    select
        provider,
        account,
        conversation_id,
        channel_id,
        contact_id,
        phone,
        bsuid,
        assigned_agent_id,
        case when is_told_ended then 'ended' else status end as status,
        created_at,
        last_active_at,
        coalesce(ended_at, case when is_told_ended then told_ended_at end) as ended_at,
        window_expires_at,
        fetched_at,
        told_by,
        {{ mart_key('judged', 'conversation_id') }} as conversation_key,
        {{ mart_key('judged', 'channel_id') }} as channel_key,
        {{ identity_key('judged') }} as identity_key
    from judged

)

select * from final
