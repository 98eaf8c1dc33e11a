{{ by('thread_key') }}

with

events as (

    select * from {{ ref('int_threads__events') }}
    {{ where_touched('thread_key') }}

),

final as (

    select
        thread_key,
        episode_number,
        min(occurred_at) filter (where opens_window) as opened_at,
        max(occurred_at) filter (where opens_window) + interval '24 hours' as closes_at,
        count(*) filter (where opens_window) - 1 as refreshes,
        count(*) filter (where is_request and is_in_window) as requests,
        count(*) filter (where event_kind = 'call') as calls,
        min(occurred_at) filter (where is_reply and is_in_window) as first_response_at,
        -- The last opening only moves forward, so the least of them is the first reply's.
        min(last_opening_at) filter (where is_reply and is_in_window) as opening_before_response_at,
        count(*) filter (where is_business_message and not is_template and is_in_window) as free_form_messages,
        count(*) filter (where is_business_message and is_template and is_in_window) as template_messages,
        bool_or(is_reopened_by_template) as is_reopened_by_template
    from events
    where episode_number > 0
    group by thread_key, episode_number

)

select * from final
