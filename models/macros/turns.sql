{# The columns of turns, of their thread, and of the policies that apply to it. #}
{% macro with_policies(turns) -%}
    select
        {{ turns }}.*,
        threads.provider,
        threads.account,
        threads.channel_key,
        threads.contact_key,
        policies.policy,
        policies.timezone,
        policies.sla_clock,
        case
            when {{ turns }}.session_initiated_by = 'customer' and {{ turns }}.is_first_in_session
                then policies.first_response_target_seconds
            else policies.response_target_seconds
        end as target_seconds
    from {{ turns }}
    inner join {{ ref('int_threads__keyed') }} as threads on {{ turns }}.thread_key = threads.thread_key
    left join {{ ref('int_channels__policies') }} as policies
        on
            threads.provider = policies.provider
            and threads.account = policies.account
            and threads.channel_id is not distinct from policies.channel_id
{%- endmacro %}
