-- What becomes of payments, told to whoever asked for it. An event is written in the transaction of
-- the change that it tells of, and only where somebody wants its type.

-- step: once
-- How often a payment changed: the sequence of its events. Null: not since this column is there.
alter table payments add column transitions int;

-- step: once
create sequence event_ids;
create sequence webhook_endpoint_ids;

-- One row a shard: the types that somebody wants, and since when. The statement that ends payments
-- reads it. Who changes it locks the table first: so whoever ends payments by an old row has
-- committed before the new one counts. `position` is that of the newest event that has one.
create table event_wants (
  shard int not null,
  types text[] not null default '{}',
  since timestamptz[] not null default '{}',
  shards int not null,
  currency text not null,
  position bigint not null default 0,
  primary key (shard),
  check (cardinality(types) = cardinality(since))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The body never changes: every delivery has the same bytes. `position` is given after the commit,
-- because events are not committed in the order of their ids; null: not yet. `payment_id` 0: of
-- none. `sequence` counts the changes of the payment; null: the event is of something else.
create table events (
  shard int not null,
  id bigint not null,
  payment_id bigint not null,
  type text not null,
  sequence int,
  body text not null check (octet_length(body) <= 8192),
  created_at timestamptz not null,
  position bigint,
  primary key (shard, id)
) with (fillfactor = 85, autovacuum_vacuum_insert_scale_factor = 0.05);

create index events_fresh on events (shard, id) where position is null;
create index events_position on events (shard, position) where position is not null;
create index events_payment on events (shard, payment_id);

-- Who wants to be told. Without a URL: somebody who polls. A removed one stays as a mark, so that
-- every shard learns of it.
create table webhook_endpoints (
  id bigint primary key,
  url text check (length(url) between 1 and 2048),
  types text[] not null check (cardinality(types) > 0),
  description text check (length(description) between 1 and 200),
  state text not null check (state in ('enabled', 'disabled', 'removed')),
  version int not null default 1,
  created_at timestamptz not null,
  created_by text not null,
  changed_at timestamptz not null
);

-- What a shard knows of an endpoint; a version behind the endpoint's is brought up.
create table webhook_subscriptions (
  shard int not null,
  endpoint_id bigint not null,
  version int not null,
  types text[] not null,
  primary key (shard, endpoint_id)
);
