-- The whole schema. Every table that holds money or work starts its primary key with `shard`
-- (= user_id mod SHARDS): a payment, its task, its attempts and its postings live in their user's
-- shard, every statement names one shard, and nothing crosses shards, foreign keys included.
-- Money is bigint minor units everywhere.

create sequence user_ids;
create sequence payment_ids;
create sequence dead_letter_ids;

-- `available` can be spent, `held` waits for the gateway. The checks are the last line of defence:
-- no bug above can spend what is not there. fillfactor leaves room so that a balance change stays on
-- its page and touches no index (HOT).
create table users (
  shard int not null,
  id bigint not null,
  available bigint not null check (available >= 0),
  held bigint not null check (held >= 0),
  created_at timestamptz not null,
  primary key (shard, id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- One row a payment, for good. `status` is in no index, so that finishing a payment is a HOT update.
-- `processing` is not stored: it is an open payment whose task is leased. `fee_bps` and `commission`
-- are stored, so a later change of the rate rewrites nothing. `gateway_key` is what the gateway knows
-- the payment by, for its whole life; random, so that no other database can ever reuse it.
create table payments (
  shard int not null,
  id bigint not null,
  user_id bigint not null,
  type text not null check (type in ('deposit', 'withdraw')),
  status text not null check (status in ('new', 'success', 'failed', 'unknown')),
  amount bigint not null check (amount > 0),
  commission bigint not null check (commission >= 0),
  fee_bps int not null check (fee_bps >= 0),
  attempts int not null default 0,
  created_at timestamptz not null,
  finished_at timestamptz,
  gateway_key uuid not null default gen_random_uuid(),
  idempotency_key text check (length(idempotency_key) between 1 and 255),
  last_error text,
  gateway_ref text,
  primary key (shard, id),
  check (type = 'withdraw' or commission <= amount),
  check ((status in ('success', 'failed')) = (finished_at is not null))
) with (fillfactor = 85, autovacuum_vacuum_insert_scale_factor = 0.05);

-- One payment per key and user, whatever races. Payments without a key are not in it.
create unique index payments_idempotency_key
  on payments (shard, user_id, idempotency_key) where idempotency_key is not null;

-- A user's payments, newest first.
create index payments_user on payments (shard, user_id, id);

-- The queue: one row an open payment; finished tasks leave, so it stays small. `run_at` is when it is
-- due; while it is leased, when the lease ends, so a dead worker's tasks come due by themselves.
-- `fence` counts claims and only the newest claim may settle. `attempts` counts the claims that count
-- against the limit. `lookups` > 0 means the payment is in doubt and is only looked up, not charged.
-- `doubt_at` is the last moment at which a charge of unknown outcome may have been sent.
create table payment_tasks (
  shard int not null,
  payment_id bigint not null,
  run_at timestamptz not null,
  fence int not null default 0,
  attempts int not null default 0,
  lookups int not null default 0,
  leased boolean not null default false,
  doubt_at timestamptz,
  last_error text,
  primary key (shard, payment_id)
) with (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 20000,
  autovacuum_vacuum_cost_delay = 0
);

-- The claim's one index: due tasks of a shard, oldest first.
create index payment_tasks_due on payment_tasks (shard, run_at);

-- Evidence: every gateway call that was made, in order, whatever came of it. Append-only. `call` 0 is
-- a claim whose worker never reported; `late` is evidence that arrived after its lease was lost.
create table payment_attempts (
  shard int not null,
  payment_id bigint not null,
  fence int not null,
  call smallint not null,
  kind text not null check (kind in ('charge', 'lookup')),
  outcome text not null,
  reason text,
  sent boolean not null,
  http_status smallint,
  started_at timestamptz not null,
  took_ms int not null,
  late boolean not null default false,
  primary key (shard, payment_id, fence, call)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);

-- The ledger, append-only. A row is one journal entry with a column for each account: the user's
-- available and held money, the gateway, the fees earned, the opening balances. The check makes an
-- unbalanced entry impossible to write, and the primary key makes a second hold, settlement or
-- release of one payment impossible. `payment_id` 0 is the user's opening balance.
create table postings (
  shard int not null,
  user_id bigint not null,
  payment_id bigint not null,
  kind text not null check (kind in ('opening', 'hold', 'settle', 'release')),
  user_available bigint not null,
  user_held bigint not null,
  gateway bigint not null,
  fees bigint not null,
  opening bigint not null,
  created_at timestamptz not null,
  primary key (shard, user_id, payment_id, kind),
  constraint postings_balanced check (user_available + user_held + gateway + fees + opening = 0)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);

revoke update, delete, truncate on postings from current_user;
revoke update, delete, truncate on payment_attempts from current_user;

-- The same ledger with one row per account moved, for people and for tools that expect it so.
create view ledger_entries as
  select shard, user_id, nullif(payment_id, 0) as payment_id, kind, account, amount, created_at
  from postings
  cross join lateral (values
    ('user', user_available),
    ('user_held', user_held),
    ('gateway', gateway),
    ('fees', fees),
    ('opening', opening)
  ) leg (account, amount)
  where amount <> 0;

-- What could not be finished, or failed. `unknown`: the money is at risk and its hold is kept.
create table dead_letters (
  shard int not null,
  id bigint not null,
  payment_id bigint not null,
  user_id bigint not null,
  payment_type text not null check (payment_type in ('deposit', 'withdraw')),
  amount bigint not null,
  commission bigint not null,
  class text not null check (class in ('failed', 'unknown')),
  error text not null,
  attempts int not null,
  state text not null default 'open' check (state in ('open', 'redriven', 'resolved')),
  created_at timestamptz not null,
  closed_at timestamptz,
  closed_by text,
  closed_reason text,
  primary key (shard, id)
);

-- One open letter per payment at most.
create unique index dead_letters_open on dead_letters (shard, payment_id) where state = 'open';
create index dead_letters_payment on dead_letters (shard, payment_id);

-- Facts about this database that no process may disagree on, such as the number of shards.
create table settings (
  name text primary key,
  value text not null
);

-- Totals of the compatibility counters over all processes, added to once a second by each.
create table counters (
  name text primary key,
  value bigint not null
) with (fillfactor = 50);
