-- Threads that wait twice at once.
with

turns as (

    select * from {{ ref('fct_turns') }}
    where {{ is_touched('thread_key') }}

),

final as (

    select
        thread_key,
        scope
    from turns
    where outcome = 'waiting'
    group by thread_key, scope
    having count(*) > 1

)

select * from final
