-- What operators do about dead letters: redrive one or many, resolve by their word, and the record of
-- who did what and why.

create sequence operator_act_ids;
create sequence redrive_ids;

-- A failed payment is final, so redriving it makes a new payment that names the one it repeats.
alter table payments add column redrive_of bigint;
create index payments_redrive_of on payments (shard, redrive_of) where redrive_of is not null;

-- The run that redrove a letter, if one did: a step of a run that is repeated after a crash finds its
-- own work done.
alter table dead_letters add column redrive_id bigint;

-- Open letters by age: what a redrive by filter looks through.
create index dead_letters_open_by_id on dead_letters (shard, id) where state = 'open';

-- Every act of an operator on a payment, append-only. `before` and `after` hold the states of the
-- payment and of its letter.
create table operator_acts (
  shard int not null,
  id bigint not null,
  payment_id bigint not null,
  letter_id bigint not null,
  redrive_id bigint,
  act text not null check (act in ('redrive', 'resolve')),
  actor text not null check (length(actor) between 1 and 100),
  reason text not null check (length(reason) between 1 and 500),
  request_id text not null,
  before jsonb not null,
  after jsonb not null,
  created_at timestamptz not null,
  primary key (shard, id)
);
create index operator_acts_payment on operator_acts (shard, payment_id);
revoke update, delete, truncate on operator_acts from current_user;

-- Redrives of many letters. A dry run stores exactly which (`letter_ids`, at most 5,000; an id tells
-- its shard), so what is started is what was shown. `position` is how many of them are done. A run
-- belongs to no shard: one row a run, touched once a second, like `settings`. `next_at` is when its
-- next step is due; while a process works on a step, when another may take it over.
create table redrives (
  id bigint primary key,
  state text not null check (state in ('planned', 'running', 'done', 'canceled')),
  filter jsonb not null,
  letter_ids bigint[] not null check (cardinality(letter_ids) <= 5000),
  amount bigint not null,
  rate_per_second int not null default 0,
  position int not null default 0,
  redriven int not null default 0,
  skipped int not null default 0,
  refused int not null default 0,
  created_at timestamptz not null,
  created_by text not null,
  started_at timestamptz,
  started_by text,
  reason text,
  request_id text,
  next_at timestamptz,
  ended_at timestamptz,
  canceled_by text
);
create index redrives_running on redrives (next_at) where state = 'running';
