-- The only query that reads more than marts: asked when the settings and the viewer's role allow.
select
    provider || ':' || account || ':' || message_id as message_key,
    message_text as text
from intermediate.int_messages__texts
where
    provider = $provider
    and account = $account
    and message_id = any($message_ids)
