-- In scope human: a bot's greeting is nobody's answer, and must not hide how long a person took.
with

turns as (

    select * from {{ ref('fct_turns') }}
    where scope = 'human'

),

messages as (

    select * from {{ ref('int_messages__classified') }}

),

policies as (

    select * from {{ ref('int_channels__policies') }}

),

-- Whoever still waits was answered by nobody: parts add up to all turns.
turns_of_days as (

    select
        {{ local_day('policies.timezone', 'turns.started_at') }} as day,
        turns.provider,
        turns.account,
        coalesce(turns.agent_key, {{ unattributed('turns') }}) as agent_key,
        count(*) as turns,
        count(*) filter (where turns.outcome = 'answered') as answered,
        count(*) filter (where turns.outcome = 'waiting') as waiting,
        percentile_cont(0.5) within group (order by turns.response_seconds) as p50_response_seconds,
        percentile_cont(0.9) within group (order by turns.response_seconds) as p90_response_seconds
    from turns
    inner join policies
        on {{ same_channel('turns', 'policies') }}
    group by 1, 2, 3, 4

),

-- First what somebody wrote in a conversation: there is far less of that than of messages.
writers_of_days as (

    select
        {{ local_day('policies.timezone', 'messages.occurred_at') }} as day,
        messages.provider,
        messages.account,
        messages.agent_id,
        messages.conversation_key,
        count(*) as messages
    from messages
    inner join policies
        on {{ same_channel('messages', 'policies') }}
    where
        messages.direction = 'outbound'
        and (messages.sender_kind = 'human' or messages.agent_id is not null)
        and messages.occurred_at is not null
    group by 1, 2, 3, 4, 5

),

messages_of_days as (

    select
        day,
        provider,
        account,
        coalesce({{ mart_key('writers_of_days', 'agent_id') }}, {{ unattributed('writers_of_days') }}) as agent_key,
        cast(sum(messages) as bigint) as messages,
        count(distinct conversation_key) as conversations
    from writers_of_days
    group by 1, 2, 3, 4

),

final as (

    select
        -- the cell
        coalesce(turns_of_days.day, messages_of_days.day) as day,
        coalesce(turns_of_days.provider, messages_of_days.provider) as provider,
        coalesce(turns_of_days.account, messages_of_days.account) as account,
        coalesce(turns_of_days.agent_key, messages_of_days.agent_key) as agent_key,

        -- turns by the day they started
        coalesce(turns_of_days.turns, 0) as turns,
        coalesce(turns_of_days.answered, 0) as answered,
        coalesce(turns_of_days.waiting, 0) as waiting,
        turns_of_days.p50_response_seconds,
        turns_of_days.p90_response_seconds,

        -- what was written that day
        coalesce(messages_of_days.messages, 0) as messages,
        coalesce(messages_of_days.conversations, 0) as conversations
    from turns_of_days
    full outer join messages_of_days
        on
            turns_of_days.day = messages_of_days.day
            and turns_of_days.agent_key = messages_of_days.agent_key

)

select * from final
