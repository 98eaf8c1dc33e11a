{{ by('conversation_key') }}

with

conversations as (

    select * from {{ ref('int_conversations__keyed') }}
    {{ where_touched('conversation_key') }}

),

messages as (

    select * from {{ ref('int_messages__classified') }}
    {{ where_touched('conversation_key') }}

),

turns as (

    select * from {{ ref('fct_turns') }}
    {{ where_touched('conversation_key') }}

),

assignments as (

    select * from {{ ref('fct_assignments') }}

),

counted as (

    select
        conversation_key,
        count(*) filter (where direction = 'inbound') as inbound_messages,
        count(*) filter (where direction = 'outbound') as outbound_messages,
        min(occurred_at) filter (where is_request) as first_request_at
    from messages
    group by conversation_key

),

answered as (

    select
        conversation_key,
        responded_at,
        response_seconds,
        count(*) over in_conversation as turns,
        count(*) filter (where outcome = 'answered') over in_conversation as answered_turns,
        row_number() over (partition by conversation_key order by started_at, turn_key) as turn_number
    from turns
    where scope = 'any'
    window in_conversation as (partition by conversation_key)

),

-- Who has it now, where the conversation's own row does not say.
handovers as (

    select
        conversation_key,
        agent_key,
        row_number() over (
            partition by conversation_key
            order by assigned_at desc nulls last, {{ bytewise('assignment_key') }}
        ) as choice
    from assignments
    where is_active

),

final as (

    select
        -- keys
        conversations.conversation_key,
        conversations.provider,
        conversations.account,
        conversations.conversation_id,
        conversations.thread_key,
        conversations.channel_key,
        conversations.contact_key,

        -- state
        conversations.status,
        conversations.created_at,
        conversations.last_active_at,
        conversations.ended_at,

        -- what happened in it
        coalesce(counted.inbound_messages, 0) as inbound_messages,
        coalesce(counted.outbound_messages, 0) as outbound_messages,
        coalesce(answered.turns, 0) as turns,
        coalesce(answered.answered_turns, 0) as answered_turns,
        counted.first_request_at,
        answered.responded_at as first_response_at,
        answered.response_seconds as first_response_seconds,
        coalesce({{ mart_key('conversations', 'assigned_agent_id') }}, handovers.agent_key) as assigned_agent_key
    from conversations
    left join counted on conversations.conversation_key = counted.conversation_key
    left join handovers
        on
            conversations.conversation_key = handovers.conversation_key
            and handovers.choice = 1
    left join answered
        on
            conversations.conversation_key = answered.conversation_key
            and answered.turn_number = 1

)

select * from final
