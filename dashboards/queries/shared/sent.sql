-- What the business sent: messages that can be delivered, so no reaction, edit, deletion or notice.
-- Both waits begin when the message was sent, are never negative, and null without a time.
select
    messages.*,
    case
        when messages.delivered_at is not null
            then greatest(extract(epoch from messages.delivered_at - messages.occurred_at), 0)
    end as delivery_seconds,
    case
        when messages.read_at is not null
            then greatest(extract(epoch from messages.read_at - messages.occurred_at), 0)
    end as read_seconds
from @messages as messages
where
    messages.direction = 'outbound'
    and coalesce(messages.message_type, '') not in ('reaction', 'edit', 'revoke', 'system')
