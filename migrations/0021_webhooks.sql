-- Endpoints that are called. Their secrets are sealed: the key is not in the database.

-- step: once
alter table webhook_endpoints
  add column payload text not null default 'full',
  add column ordered boolean not null default false,
  add column secret text,
  add column secret_before text,
  add column secret_before_until timestamptz,
  add column disabled_at timestamptz,
  add column disabled_why text,
  add column enabled_at timestamptz,
  add constraint webhook_endpoints_called check (
    payload in ('full', 'thin') and (url is null or state = 'removed' or secret is not null)
    and (secret_before is null) = (secret_before_until is null)
  ) not valid;

-- step: once
alter table webhook_endpoints validate constraint webhook_endpoints_called;

-- step: once
-- Whether a shard makes deliveries for an endpoint, when it may be called again, and when something
-- last arrived there.
alter table webhook_subscriptions
  add column deliver boolean not null default false,
  add column ordered boolean not null default false,
  add column paused_until timestamptz,
  add column delivered_at timestamptz;

-- step: once
-- An event on its way to an endpoint. `run_at` is when it is due; while it is leased, when the
-- lease ends. Only the newest claim, by `fence`, may say what came of it.
create table deliveries (
  shard int not null,
  event_id bigint not null,
  endpoint_id bigint not null,
  payment_id bigint not null,
  position bigint not null,
  state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  run_at timestamptz not null,
  leased boolean not null default false,
  fence int not null default 0,
  attempts int not null default 0,
  created_at timestamptz not null,
  ended_at timestamptz,
  primary key (shard, event_id, endpoint_id),
  check ((state = 'pending') = (ended_at is null))
) with (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_cost_delay = 0
);

-- The claim's index, that of the order within a payment, and that of lists.
create index deliveries_due on deliveries (shard, endpoint_id, run_at) where state = 'pending';
create index deliveries_order on deliveries (shard, endpoint_id, payment_id, position)
  where state = 'pending';
create index deliveries_list on deliveries (shard, endpoint_id, position);

-- Every call, whatever came of it. `reply` is the beginning of what the endpoint answered.
create table delivery_attempts (
  shard int not null,
  event_id bigint not null,
  endpoint_id bigint not null,
  fence int not null,
  started_at timestamptz not null,
  took_ms int not null,
  status smallint,
  reason text,
  reply text check (octet_length(reply) <= 4096),
  primary key (shard, event_id, endpoint_id, fence)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
