with

assignments as (

    select * from {{ source('raw_kapso', 'assignments') }}

),

final as (

    select
        'kapso' as provider,
        account,
        id as assignment_id,
        {{ clean('conversation_id') }} as conversation_id,
        {{ clean('user_id') }} as agent_id,
        {{ to_instant('created_at') }} as assigned_at,
        coalesce({{ to_boolean('active') }}, false) as is_active
    from assignments

)

select * from final
