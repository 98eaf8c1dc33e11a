with

threads as (

    select * from {{ ref('int_threads__keyed') }}

),

listed as (

    {{ union_rooms('channels') }}

),

business_policies as (

    select * from {{ source('intermediate', 'business_policies') }}

),

sla_policies as (

    select * from {{ source('intermediate', 'sla_policies') }}

),

channels as (

    select
        provider,
        account,
        channel_id
    from threads
    union
    select
        provider,
        account,
        channel_id
    from listed

),

-- Every policy that could apply; the least rank is the most specific.
candidates as (

    select
        provider,
        account,
        channel_id,
        account || '/' || channel_id as policy,
        1 as policy_rank
    from channels
    union all
    select
        provider,
        account,
        channel_id,
        account as policy,
        2 as policy_rank
    from channels
    union all
    select
        provider,
        account,
        channel_id,
        'default' as policy,
        3 as policy_rank
    from channels

),

hours as (

    select
        candidates.*,
        business_policies.timezone,
        row_number() over (
            partition by candidates.provider, candidates.account, candidates.channel_id
            order by candidates.policy_rank
        ) as choice
    from candidates
    inner join business_policies on candidates.policy = business_policies.policy

),

goals as (

    select
        candidates.*,
        sla_policies.first_response_seconds,
        sla_policies.response_seconds,
        sla_policies.clock,
        row_number() over (
            partition by candidates.provider, candidates.account, candidates.channel_id
            order by candidates.policy_rank
        ) as choice
    from candidates
    inner join sla_policies on candidates.policy = sla_policies.policy

),

final as (

    select
        channels.provider,
        channels.account,
        channels.channel_id,
        {{ mart_key('channels', 'channel_id') }} as channel_key,
        hours.policy,
        coalesce(hours.timezone, {{ default_timezone() }}) as timezone,
        goals.first_response_seconds as first_response_target_seconds,
        goals.response_seconds as response_target_seconds,
        goals.clock as sla_clock
    from channels
    left join hours
        on
            channels.provider = hours.provider
            and channels.account = hours.account
            and channels.channel_id is not distinct from hours.channel_id
            and hours.choice = 1
    left join goals
        on
            channels.provider = goals.provider
            and channels.account = goals.account
            and channels.channel_id is not distinct from goals.channel_id
            and goals.choice = 1

)

select * from final
