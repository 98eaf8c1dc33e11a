with

users as (

    select * from {{ source('raw_kapso', 'users') }}

),

-- A user stands in the list once per membership; handovers name the user.
final as (

    select
        'kapso' as provider,
        account,
        coalesce({{ clean('user_id') }}, id) as agent_id,
        {{ clean('name') }} as name,
        {{ clean('email') }} as email,
        {{ lowered('role') }} as role,
        fetched_at
    from users

)

select * from final
