-- The newest messages of a thread that have a time, oldest of them first.
select *
from (
    select
        message_key,
        message_id,
        provider,
        account,
        direction,
        sender_kind,
        message_type,
        text_length,
        occurred_at,
        status,
        error_code,
        is_request,
        is_reply,
        opens_window,
        is_imported,
        is_window_violation,
        count(*) over () as found
    from marts.fct_messages
    where thread_key = $thread_key and occurred_at is not null
    order by occurred_at desc, case when direction = 'inbound' then 0 else 1 end desc, message_key desc
    limit $limit
) as newest
order by occurred_at, case when direction = 'inbound' then 0 else 1 end, message_key
