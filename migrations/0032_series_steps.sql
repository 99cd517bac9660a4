-- Minutes of charts that are older than two hours, added up: steps of ten minutes for the chart of
-- a day, and hours for that of a week. A table of their own, because what is left of a busy index
-- in its old part would keep every page of it. Beside a process of the version before, that one's
-- charts of a day and a week lack what is in here.

-- step: once
create table payment_series_steps (
  shard int not null,
  seconds int not null,
  begins_at timestamptz not null,
  gateway text not null,
  currency text not null,
  accepted int not null,
  succeeded int not null,
  failed int not null,
  in_doubt int not null,
  amount bigint not null,
  latency int[],
  primary key (shard, seconds, begins_at, gateway, currency)
) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
