-- Accounts with fewer or more messages than their provider sent.
with

sent as (

    select
        provider,
        account,
        count(*) as messages
    from (
        {% for provider in var('providers') %}
            select distinct
                '{{ provider }}' as provider,
                account,
                id
            from {{ source('raw_' ~ provider, 'messages') }}
            {{ 'union all' if not loop.last }}
        {% endfor %}
    ) as raw_messages
    group by provider, account

),

kept as (

    select
        provider,
        account,
        count(*) as messages
    from {{ ref('fct_messages') }}
    where seen_in <> 'webhook'
    group by provider, account

),

final as (

    select
        coalesce(sent.provider, kept.provider) as provider,
        coalesce(sent.account, kept.account) as account
    from sent
    full outer join kept
        on
            sent.provider = kept.provider
            and sent.account = kept.account
    where sent.messages is distinct from kept.messages

)

select * from final
