-- What the numbers can be checked against: totals that have to agree, and what is known to be off.
select
    -- one that only a webhook told of is in no list of the API yet
    (select count(*) from marts.fct_messages where seen_in is distinct from 'webhook') as messages,
    (select coalesce(sum(rows), 0) from marts.mart_sync_health where resource = 'messages')
        as synced_messages,
    (select coalesce(sum(requests), 0) from marts.fct_turns where scope = 'any') as requests_any,
    (select coalesce(sum(requests), 0) from marts.fct_turns where scope = 'human')
        as requests_human,
    (select count(*) from marts.fct_messages where is_request) as requests,
    (select count(*) from marts.fct_turns where scope = 'any') as turns,
    (select coalesce(sum(turns), 0) from marts.mart_daily_response_times where scope = 'any')
        as turns_by_day,
    (select count(*) from marts.fct_messages where is_clock_skewed) as clock_skewed,
    (select count(*) from marts.fct_messages where is_window_violation) as window_violations,
    (select count(*) from marts.fct_messages where is_window_mismatch) as window_mismatches,
    (select count(*) from marts.fct_messages where is_imported) as imported,
    (select count(*) from marts.fct_messages where channel_key is null) as without_channel,
    (select count(*) from marts.fct_service_windows where window_drift_seconds is not null)
        as windows_compared,
    (
        select count(*)
        from marts.fct_service_windows
        where abs(window_drift_seconds) > 60
    ) as windows_drifting
