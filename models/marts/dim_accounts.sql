{{ config(tags=['clock']) }}

with

resources as (

    select * from {{ ref('int_resources__unioned') }}

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
        synced.provider,
        synced.account,
        synced.first_synced_at,
        synced.last_synced_at,
        1 - cast(authored.unknown_messages as double precision) / authored.outbound_messages as author_coverage
    from synced
    left join authored
        on
            synced.provider = authored.provider
            and synced.account = authored.account

)

select * from final
