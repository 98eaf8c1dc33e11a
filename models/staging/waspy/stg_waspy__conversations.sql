with

conversations as (

    select * from {{ source('raw_waspy', 'conversations') }}

),

closes as (

    select
        account,
        conversation_id,
        max(occurred_at) as occurred_at
    from {{ ref('stg_waspy__conversation_closes') }}
    group by account, conversation_id

),

states as (

    select
        account,
        conversation_id,
        status,
        row_number() over (partition by account, conversation_id order by observed_from desc) as age
    from {{ ref('stg_waspy__conversation_states') }}

),

parsed as (

    select
        conversations.*,
        {{ to_json('conversations.contact') }} as contact_json,
        {{ lowered('conversations.status') }} as state,
        closes.occurred_at as closed_at,
        coalesce(states.status = 'deleted', false) as is_deleted
    from conversations
    left join closes
        on conversations.account = closes.account and conversations.id = closes.conversation_id
    left join states
        on
            conversations.account = states.account
            and conversations.id = states.conversation_id
            and states.age = 1

),

final as (

    select
        -- ids
        'waspy' as provider,
        account,
        id as conversation_id,
        {{ clean('phone_number_id') }} as channel_id,
        coalesce({{ clean('contact_id') }}, {{ json_text('contact_json', ['id']) }}) as contact_id,
        {{ phone_in(json_text('contact_json', ['phoneNumber'])) }} as phone,
        {{ bsuid_in(json_text('contact_json', ['phoneNumber'])) }} as bsuid,
        case when not is_deleted then {{ clean('assigned_to') }} end as assigned_agent_id,

        -- state: the row keeps what was last said of a conversation that is no longer there
        case when is_deleted then 'deleted' else state end as status,

        -- times
        {{ to_instant('created_at') }} as created_at,
        {{ to_instant('last_message_at') }} as last_active_at,
        case when state in ('resolved', 'closed') then closed_at end as ended_at,  -- first seen closed
        {{ to_instant('service_window_expires_at') }} as window_expires_at,
        fetched_at
    from parsed

)

select * from final
