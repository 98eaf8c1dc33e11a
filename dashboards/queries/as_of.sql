-- The clock of the build: what waits has waited until then. A turn that begins after it has waited
-- for 0 seconds and tells nothing of it.
select coalesce(
    (
        select max(started_at + waiting_seconds * interval '1 second')
        from marts.mart_backlog
        where waiting_seconds > 0
    ),
    (select max(last_synced_at) from marts.dim_accounts)
) as as_of
