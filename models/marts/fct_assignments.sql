with

assignments as (

    select * from {{ ref('int_assignments__unioned') }}

),

final as (

    select
        {{ mart_key('assignments', 'assignment_id') }} as assignment_key,
        provider,
        account,
        conversation_key,
        {{ mart_key('assignments', 'agent_id') }} as agent_key,
        assigned_at,
        unassigned_at,
        is_active,
        is_observed
    from assignments

)

select * from final
