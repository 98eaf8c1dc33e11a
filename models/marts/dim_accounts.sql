{{ config(tags=['clock']) }}

with

resources as (

    select * from {{ ref('int_resources__unioned') }}

),

deliveries as (

    select * from {{ ref('stg_webhooks__resources') }}

),

messages as (

    select * from {{ ref('int_messages__classified') }}

),

synced as (

    select
        provider,
        account,
        min(first_synced_at) as first_synced_at,
        max(last_synced_at) as last_synced_at
    from resources
    group by provider, account

),

-- An account of which only webhooks tell was never read.
accounts as (

    select
        provider,
        account
    from synced
    union
    select
        provider,
        account
    from deliveries

),

authored as (

    select
        provider,
        account,
        count(*) as outbound_messages,
        count(*) filter (where sender_kind = 'unknown') as unknown_messages
    from messages
    where direction = 'outbound'
    group by provider, account

),

final as (

    select
        accounts.provider,
        accounts.account,
        synced.first_synced_at,
        synced.last_synced_at,
        1 - cast(authored.unknown_messages as double precision) / authored.outbound_messages as author_coverage
    from accounts
    left join synced
        on
            accounts.provider = synced.provider
            and accounts.account = synced.account
    left join authored
        on
            accounts.provider = authored.provider
            and accounts.account = authored.account

)

select * from final
