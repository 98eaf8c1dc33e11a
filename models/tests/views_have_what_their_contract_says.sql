-- Rows that a table would refuse: on DuckDB a view has a contract, and nothing looks after it.
with

turns as (

    select thread_key
    from {{ ref('fct_turns') }}
    where (thread_key is null or {{ is_touched('thread_key') }}) and ({{ has_gaps('fct_turns') }})

),

windows as (

    select thread_key
    from {{ ref('fct_service_windows') }}
    where (thread_key is null or {{ is_touched('thread_key') }}) and ({{ has_gaps('fct_service_windows') }})

),

final as (

    select * from turns
    union all
    select * from windows

)

select * from final
