with

windows as (

    select * from {{ ref('int_windows__grouped') }}

),

threads as (

    select * from {{ ref('int_threads__keyed') }}

),

conversations as (

    select * from {{ ref('int_conversations__keyed') }}

),

-- What the provider itself says of the thread's newest window.
promised as (

    select
        thread_key,
        max(window_expires_at) as provider_closes_at
    from conversations
    group by thread_key

),

numbered as (

    select
        *,
        max(episode_number) over (partition by thread_key) as last_episode_number
    from windows

),

final as (

    select
        -- keys
        numbered.thread_key || ':' || numbered.episode_number as window_key,
        threads.provider,
        threads.account,
        numbered.thread_key,
        threads.channel_key,
        threads.contact_key,
        numbered.episode_number,

        -- the window
        numbered.opened_at,
        numbered.closes_at,
        numbered.refreshes,
        numbered.requests,
        numbered.calls,

        -- what the business did in it
        numbered.first_response_at,
        numbered.first_response_at is not null as is_answered,
        numbered.opened_at <= {{ as_of() }} and {{ as_of() }} < numbered.closes_at as is_open,
        numbered.first_response_at is null and numbered.closes_at <= {{ as_of() }} as is_expired_unanswered,
        {{ seconds_between(
            'numbered.first_response_at', "numbered.opening_before_response_at + interval '24 hours'"
        ) }} as seconds_left_at_first_response,
        numbered.free_form_messages,
        numbered.template_messages,
        numbered.is_reopened_by_template,

        -- the provider's own count
        promised.provider_closes_at,
        {{ seconds_between('numbered.closes_at', 'promised.provider_closes_at') }} as window_drift_seconds
    from numbered
    inner join threads on numbered.thread_key = threads.thread_key
    left join promised
        on
            numbered.thread_key = promised.thread_key
            and numbered.episode_number = numbered.last_episode_number

)

select * from final
