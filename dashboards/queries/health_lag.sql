-- When the newest message of each account was written.
select
    provider,
    account,
    max(occurred_at) as last_message_at
from marts.fct_messages
group by provider, account
order by provider, account
