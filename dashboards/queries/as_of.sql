-- The clock of the build: what waits has waited until then.
select coalesce(
    (select max(started_at + waiting_seconds * interval '1 second') from marts.mart_backlog),
    (select max(last_synced_at) from marts.dim_accounts)
) as as_of
