-- Waspy's own close of the last window against ours: a steady drift says that a rule here is wrong.
select
    channel_key,
    count(window_drift_seconds) as compared,
    count(*) filter (where abs(window_drift_seconds) <= 2) as within_2_seconds,
    percentile_cont(0.5) within group (order by window_drift_seconds) as p50_drift_seconds,
    max(abs(window_drift_seconds)) as most_seconds
from marts.fct_service_windows
where provider_closes_at is not null
group by 1
order by 1
