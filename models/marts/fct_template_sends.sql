{{ by('thread_key', kind='repriced_thread') }}

with

messages as (

    select * from {{ ref('fct_messages') }}
    {{ where_touched('repriced_thread', 'thread_key') }}

),

classified as (

    select * from {{ ref('int_messages__classified') }}
    {{ where_touched('repriced_thread', 'thread_key') }}

),

replies as (

    select * from {{ ref('int_templates__replied') }}
    {{ where_touched('repriced_thread', 'thread_key') }}

),

final as (

    select
        -- keys
        messages.message_key,
        messages.provider,
        messages.account,
        messages.template_key,
        messages.thread_key,
        messages.channel_key,
        messages.contact_key,
        classified.broadcast_id,

        -- what became of it
        messages.occurred_at,
        coalesce(messages.status in ('delivered', 'read', 'played'), false) as is_delivered,
        coalesce(messages.status in ('read', 'played'), false) as is_read,
        coalesce(messages.status = 'failed', false) as is_failed,
        replies.replied_at,
        messages.estimated_cost_usd
    from messages
    inner join classified on messages.message_key = classified.message_key
    left join replies on messages.message_key = replies.message_key
    where messages.direction = 'outbound' and messages.message_type = 'template'

)

select * from final
