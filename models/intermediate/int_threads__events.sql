-- One sort per thread; every fact of turns, sessions and windows is a running value over it.
{{ by('thread_key') }}

with

timeline as (

    select * from {{ ref('int_threads__timeline') }}
    {{ where_touched('thread_key') }}

),

running as (

    select
        *,
        row_number() over in_order as event_number,
        count(*) filter (where is_reply or event_kind = 'close') over so_far as closers_before,
        count(*) filter (where is_human_reply or event_kind = 'close') over so_far as human_closers_before,
        max(case when event_kind = 'message' then occurred_at end) over so_far as previous_message_at,
        max(case when event_kind = 'close' then occurred_at end) over so_far as previous_close_at,
        max(case when opens_window then occurred_at end) over so_far as previous_opening_at,
        max(case when is_template and is_business_message then occurred_at end) over so_far
            as previous_template_at
    from timeline
    window
        in_order as (
            partition by thread_key
            order by occurred_at, rank_in_instant, position nulls last, {{ bytewise('event_id') }}
        ),
        so_far as (
            partition by thread_key
            order by occurred_at, rank_in_instant, position nulls last, {{ bytewise('event_id') }}
            rows between unbounded preceding and 1 preceding
        )

),

-- A silence or a window of exactly 24 hours is over: intervals are half-open.
marked as (

    select
        *,
        case when opens_window then occurred_at else previous_opening_at end as last_opening_at,
        event_kind = 'message' and (
            previous_message_at is null
            or occurred_at >= previous_message_at + interval '24 hours'
            or coalesce(previous_close_at >= previous_message_at, false)
        ) as starts_session,
        opens_window and (
            previous_opening_at is null
            or occurred_at >= previous_opening_at + interval '24 hours'
        ) as starts_episode
    from running

),

final as (

    select
        thread_key,
        event_number,
        occurred_at,
        event_kind,
        message_key,
        conversation_key,
        direction,
        sender_kind,
        agent_id,
        is_template,
        is_request,
        is_reply,
        is_human_reply,
        opens_window,
        is_business_message,
        closers_before,
        human_closers_before,
        last_opening_at,
        coalesce(occurred_at < last_opening_at + interval '24 hours', false) as is_in_window,
        starts_session,
        count(*) filter (where starts_session) over in_order as session_number,
        starts_episode,
        count(*) filter (where starts_episode) over in_order as episode_number,
        coalesce(
            starts_episode
            and previous_template_at >= previous_opening_at + interval '24 hours'
            and occurred_at <= previous_template_at + interval '72 hours',
            false
        ) as is_reopened_by_template
    from marked
    window in_order as (
        partition by thread_key
        order by event_number
        rows between unbounded preceding and current row
    )

)

select * from final
