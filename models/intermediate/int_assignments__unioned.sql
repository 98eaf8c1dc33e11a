-- Who had a conversation and since when: told by the provider, or seen by syncs.
{{ config(
    pre_hook="{{ touch_reassigned_conversations() }}",
    post_hook="{{ touch_reassigned_conversations() }}",
) }}

with

assignments as (

    {{ union_rooms('assignments') }}

),

states as (

    select * from {{ ref('int_conversations__observed_states') }}

),

told as (

    select
        provider,
        account,
        assignment_id,
        {{ mart_key('assignments', 'conversation_id') }} as conversation_key,
        agent_id,
        assigned_at,
        -- No time of ending is given: what is over ended at the latest when the next one began.
        case
            when not is_active
                then lead(assigned_at) over (
                    partition by provider, account, conversation_id
                    order by assigned_at nulls last, {{ bytewise('assignment_id') }}
                )
        end as unassigned_at,
        is_active,
        false as is_observed
    from assignments
    where agent_id is not null

),

followed as (

    select
        *,
        lag(assigned_agent_id) over (partition by conversation_key order by observed_from) as previous_agent_id
    from states

),

numbered as (

    select
        *,
        count(*) filter (where assigned_agent_id is distinct from previous_agent_id) over (
            partition by conversation_key
            order by observed_from
            rows between unbounded preceding and current row
        ) as run_number
    from followed

),

-- Neighbouring states with one assignee are one assignment.
observed as (

    select
        provider,
        account,
        conversation_id || ':' || run_number as assignment_id,
        conversation_key,
        assigned_agent_id as agent_id,
        min(observed_from) as assigned_at,
        case when count(*) = count(observed_to) then max(observed_to) end as unassigned_at,
        count(*) > count(observed_to) as is_active,
        true as is_observed
    from numbered
    where assigned_agent_id is not null
    group by provider, account, conversation_key, conversation_id, assigned_agent_id, run_number

),

final as (

    select * from told
    union all
    select * from observed

)

select * from final
