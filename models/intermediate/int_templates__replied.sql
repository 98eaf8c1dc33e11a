-- For each template that reached a thread, the first request after it and before the next one.
{{ by('thread_key') }}

with

events as (

    select * from {{ ref('int_threads__events') }}
    {{ where_touched('thread_key') }}

),

numbered as (

    select
        thread_key,
        event_number,
        occurred_at,
        message_key,
        is_request,
        is_template and is_business_message as is_template_sent,
        max(case when is_template and is_business_message then event_number end) over (
            partition by thread_key
            order by event_number
            rows between unbounded preceding and current row
        ) as template_number
    from events
    where is_request or (is_template and is_business_message)

),

followed as (

    select
        thread_key,
        max(message_key) filter (where is_template_sent) as message_key,
        max(occurred_at) filter (where is_template_sent) as sent_at,
        min(occurred_at) filter (where is_request) as requested_at
    from numbered
    where template_number is not null
    group by thread_key, template_number

),

final as (

    select
        thread_key,
        message_key,
        requested_at as replied_at
    from followed
    where requested_at <= sent_at + interval '72 hours'

)

select * from final
