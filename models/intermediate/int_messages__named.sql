-- The provider's id of messages that a webhook names by the network's id alone. Most rooms have none.
{{ config(tags=['rows']) }}

with

unnamed as (

    select
        provider,
        account,
        wa_message_id
    from {{ ref('stg_webhooks__messages') }}
    where message_id is null
    union
    select
        provider,
        account,
        wa_message_id
    from {{ ref('stg_webhooks__message_statuses') }}
    where message_id is null

),

listed as (

    {{ union_rooms('messages') }}

),

messages as (

    select
        provider,
        account,
        wa_message_id,
        message_id
    from listed
    union all
    select
        provider,
        account,
        wa_message_id,
        message_id
    from {{ ref('stg_webhooks__messages') }}

),

final as (

    select
        unnamed.provider,
        unnamed.account,
        unnamed.wa_message_id,
        min({{ bytewise('messages.message_id') }}) as message_id
    from unnamed
    inner join messages
        on
            unnamed.provider = messages.provider
            and unnamed.account = messages.account
            and unnamed.wa_message_id = messages.wa_message_id
    where messages.message_id is not null
    group by 1, 2, 3

)

select * from final
