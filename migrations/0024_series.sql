-- What became of payments by minute, for charts. Statements that count payments say of which
-- minute, and folding their rows adds them up here: so the totals agree with the payments after any
-- crash. Minutes older than a week are deleted. `latency` is null where nothing ended: so a week of
-- minutes in which one gateway works is some four megabytes.

-- step: once
create table payment_series (
  shard int not null,
  minute timestamptz not null,
  gateway text not null,
  currency text not null,
  accepted int not null,
  succeeded int not null,
  failed int not null,
  in_doubt int not null,
  amount bigint not null,
  latency int[],
  primary key (shard, minute, gateway, currency)
) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- step: once
-- `amount` is of those that succeeded, `latency` how many ended within which time. Null: a count of
-- no minute, such as that of a claim, or a sum of all time.
alter table payment_counts
  add column minute timestamptz,
  add column gateway text,
  add column currency text,
  add column accepted int,
  add column amount bigint,
  add column latency int[];
