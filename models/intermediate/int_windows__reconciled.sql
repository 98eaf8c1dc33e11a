-- Windows with whose they are, and what the provider itself says of the newest of a thread.
{{ by('thread_key') }}

with

windows as (

    select * from {{ ref('int_windows__grouped') }}
    {{ where_touched('thread_key') }}

),

threads as (

    select * from {{ ref('int_threads__keyed') }}

),

conversations as (

    select * from {{ ref('int_conversations__keyed') }}
    {{ where_touched('thread_key') }}

),

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
        numbered.*,
        threads.provider,
        threads.account,
        threads.channel_key,
        threads.contact_key,
        promised.provider_closes_at
    from numbered
    inner join threads on numbered.thread_key = threads.thread_key
    left join promised
        on
            numbered.thread_key = promised.thread_key
            and numbered.episode_number = numbered.last_episode_number

)

select * from final
