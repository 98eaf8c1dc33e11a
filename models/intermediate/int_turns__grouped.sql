{{ by('thread_key', notes=['conversation_key']) }}

with

events as (

    select * from {{ ref('int_threads__events') }}
    {{ where_touched('thread_key') }}

),

-- Two clocks over the same events: any answer, and a person's.
scoped as (

    select
        'any' as scope,
        events.*,
        closers_before as closers,
        is_reply as is_answer
    from events
    union all
    select
        'human' as scope,
        events.*,
        human_closers_before as closers,
        is_human_reply as is_answer
    from events

),

-- The events with k closers before them: some requests, and at most one closer, the one that ends them.
-- Numbers only: what the closer says is looked up below, for texts in groups need much memory.
turns as (

    select
        thread_key,
        scope,
        closers,
        min(occurred_at) filter (where is_request) as started_at,
        max(occurred_at) filter (where is_request) as last_request_at,
        count(*) filter (where is_request) as requests,
        min(event_number) filter (where is_request) as first_event_number,
        max(event_number) filter (where is_answer or event_kind = 'close') as last_event_number,
        min(session_number) filter (where is_request) as session_number
    from scoped
    group by thread_key, scope, closers
    having count(*) filter (where is_request) > 0

),

numbered as (

    select
        *,
        row_number() over (partition by thread_key, scope order by closers) as turn_number,
        row_number() over (partition by thread_key, scope, session_number order by closers) as turn_in_session
    from turns

),

sessions as (

    select
        thread_key,
        session_number,
        case when direction = 'inbound' then 'customer' else 'business' end as initiated_by
    from events
    where starts_session

),

-- An answer or a close, in one: of two joins PostgreSQL believes that the second finds next to nothing.
enders as (

    select
        *,
        event_kind = 'message' as is_answer
    from events

),

final as (

    select
        numbered.*,
        first_requests.conversation_key,
        sessions.initiated_by as session_initiated_by,
        numbered.turn_in_session = 1 as is_first_in_session,
        case when enders.is_answer then enders.occurred_at end as responded_at,
        case when not enders.is_answer then enders.occurred_at end as closed_at,
        case when enders.is_answer then enders.message_key end as reply_message_key,
        case when enders.is_answer then enders.sender_kind end as responder_kind,
        case when enders.is_answer then enders.agent_id end as agent_id,
        case when enders.is_answer then enders.is_template end as is_template_reply,
        enders.last_opening_at,
        case
            when enders.is_answer then 'answered'
            when not enders.is_answer then 'closed_unanswered'
            else 'waiting'
        end as outcome
    from numbered
    inner join events as first_requests
        on
            numbered.thread_key = first_requests.thread_key
            and numbered.first_event_number = first_requests.event_number
    left join enders
        on
            numbered.thread_key = enders.thread_key
            and numbered.last_event_number = enders.event_number
    inner join sessions
        on
            numbered.thread_key = sessions.thread_key
            and numbered.session_number = sessions.session_number

)

select * from final
