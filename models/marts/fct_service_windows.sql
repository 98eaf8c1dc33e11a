-- What depends on the build's clock is added here, when the row is read.
{{ of_the_clock('window_key', 'closes_at > (select built.as_of from intermediate.build_state as built)') }}

with

windows as (

    select * from {{ ref('int_windows__reconciled') }}

),

final as (

    select
        -- keys
        thread_key || ':' || episode_number as window_key,
        provider,
        account,
        thread_key,
        channel_key,
        contact_key,
        episode_number,

        -- the window
        opened_at,
        closes_at,
        refreshes,
        requests,
        calls,

        -- what the business did in it
        first_response_at,
        first_response_at is not null as is_answered,
        opened_at <= {{ as_of() }} and {{ as_of() }} < closes_at as is_open,
        first_response_at is null and closes_at <= {{ as_of() }} as is_expired_unanswered,
        {{ seconds_between(
            'first_response_at', "opening_before_response_at + interval '24 hours'"
        ) }} as seconds_left_at_first_response,
        free_form_messages,
        template_messages,
        is_reopened_by_template,

        -- the provider's own count
        provider_closes_at,
        {{ seconds_between('closes_at', 'provider_closes_at') }} as window_drift_seconds
    from windows

)

select * from final
{{ where_missing('final', 'window_key') }}
