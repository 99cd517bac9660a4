-- Money that goes back, currencies, and what belongs to a payment. Everything here is an addition
-- that the version before does not notice: it goes on accepting and settling while it is replaced.
-- Each step locks one table for a moment; what looks at all rows of a table blocks nobody.

-- step: once
-- What is written only for those who use it. New tables, so nothing waits for them.

-- What the caller says about a payment, written only when something was said. `sent` holds a hash
-- of each field as it was first sent: a repeated key is compared with it, so that an edit breaks no
-- retry.
create table payment_details (
  shard int not null,
  payment_id bigint not null,
  reference text check (length(reference) between 1 and 100),
  description text check (length(description) between 1 and 500),
  metadata jsonb check (jsonb_typeof(metadata) = 'object'),
  payment_method text check (length(payment_method) between 1 and 255),
  return_url text check (length(return_url) between 1 and 2048),
  sent jsonb not null check (jsonb_typeof(sent) = 'object'),
  primary key (shard, payment_id)
);

-- Which payment of a user has a reference: those that did not fail. The row leaves when its payment
-- fails, so that a declined order can be tried again under its reference.
create table payment_references (
  shard int not null,
  user_id bigint not null,
  reference text not null,
  payment_id bigint not null,
  primary key (shard, user_id, reference)
);

-- The refunds and returns of a payment. A table of its own, because an index on `payments` would
-- have to be built over every payment there is. `ref` is the gateway's reference of a return: a
-- payment has one return under it, whoever reports it.
create table payment_children (
  shard int not null,
  parent_id bigint not null,
  payment_id bigint not null,
  ref text check (length(ref) between 1 and 255),
  primary key (shard, parent_id, payment_id)
);
create unique index payment_children_ref
  on payment_children (shard, parent_id, ref) where ref is not null;

-- Idempotency keys apart from the payments that they made, so that `payments` can be cut into
-- partitions and keys can end. Filled by the version that reads them; until then the unique index
-- on `payments` holds.
create table idempotency_keys (
  shard int not null,
  user_id bigint not null,
  key text not null check (length(key) between 1 and 255),
  payment_id bigint not null,
  created_at timestamptz not null,
  primary key (shard, user_id, key)
);

-- What an API key opened users under: the same request again opens no second user. The shard comes
-- from the key, so a key is in one shard only. `api_key` is empty where no keys are demanded.
create table user_keys (
  shard int not null,
  api_key text not null,
  key text not null check (length(key) between 1 and 255),
  user_id bigint not null,
  sent jsonb not null check (jsonb_typeof(sent) = 'object'),
  created_at timestamptz not null,
  primary key (shard, api_key, key)
);

-- What the caller says about a user, written only when something was said. Apart from `users`,
-- whose rows change with every payment and are the smaller the better.
create table user_details (
  shard int not null,
  user_id bigint not null,
  external_id text check (length(external_id) between 1 and 100),
  metadata jsonb check (jsonb_typeof(metadata) = 'object'),
  primary key (shard, user_id)
);
create unique index user_details_external_id
  on user_details (shard, external_id) where external_id is not null;

-- Payments by the gateway's reference, written only for gateways whose notices name nothing else.
-- No index on `payments.gateway_ref`, because finishing a payment would then touch an index.
create table gateway_refs (
  shard int not null,
  gateway text not null,
  ref text not null,
  payment_id bigint not null,
  primary key (shard, gateway, ref)
);

-- The smallest and the largest id among the payments of a minute: a list of a time is a range of
-- ids, and `created_at` needs no index. Ids are given ahead of time, so neighbouring minutes
-- overlap.
create table payment_minutes (
  shard int not null,
  minute timestamptz not null,
  id_min bigint not null,
  id_max bigint not null,
  primary key (shard, minute),
  check (id_min <= id_max)
);

-- step: once
-- The currency of a user's account. Null: the currency of the books, in `settings`.
alter table users
  add column currency text,
  add constraint users_currency check (currency ~ '^[A-Z]{3}$') not valid;

-- step: once
-- Refunds and returns are payments with a parent. `fee_returned` is what of the parent's commission
-- goes back with one, and of a dispute won, what is earned again.
--
-- What went back of a payment stands on the payment, where a lock on its row guards it; null is 0,
-- so that payments of which nothing goes back are as small as before. `refund_reserved` and
-- `fee_reserved` are the sums over refunds that are open or done, `refunded` over those that are
-- done; `returned` and `returned_fee` over what came back by itself, less what came back from
-- disputes.
--
-- `gateway` is where a payment is carried out, for its whole life; null: `http`, the only one until
-- now.
alter table payments
  add column gateway text,
  add column parent_id bigint,
  add column fee_returned bigint,
  add column return_kind text,
  add column refund_reserved bigint,
  add column fee_reserved bigint,
  add column refunded bigint,
  add column returned bigint,
  add column returned_fee bigint,
  drop constraint payments_type_check,
  add constraint payments_type_check
    check (type in ('deposit', 'withdraw', 'refund', 'return')) not valid,
  add constraint payments_parent
    check ((type in ('refund', 'return')) = (parent_id is not null)) not valid,
  add constraint payments_return_kind check (
    (type = 'return') = (return_kind is not null)
    and return_kind in ('payout_returned', 'charged_back', 'refunded_there', 'dispute_won')
  ) not valid,
  add constraint payments_fee_returned check (
    fee_returned is null
    or fee_returned >= 0 and (type = 'return' or type = 'refund' and fee_returned <= amount)
  ) not valid,
  add constraint payments_given_back check (
    coalesce(refund_reserved, fee_reserved, refunded, returned, returned_fee) is null
    or (
      coalesce(refund_reserved, 0) between 0 and amount
      and coalesce(refunded, 0) between 0 and coalesce(refund_reserved, 0)
      and coalesce(returned, 0) between 0 and amount
      and coalesce(fee_reserved, 0) >= 0
      and coalesce(returned_fee, 0) >= 0
      and coalesce(fee_reserved, 0) + coalesce(returned_fee, 0) <= commission
    )
  ) not valid,
  add constraint payments_refused_for check (refused_for is null or status = 'failed') not valid;

-- step: once
-- What nobody but us can pay for, as 0 or less, and the correction of a failed payment that the
-- gateway had executed.
alter table postings
  add column losses bigint not null default 0,
  drop constraint postings_balanced,
  add constraint postings_balanced
    check (user_available + user_held + gateway + fees + opening + losses = 0) not valid,
  drop constraint postings_kind_check,
  add constraint postings_kind_check
    check (kind in ('opening', 'hold', 'release', 'settle', 'settle_late')) not valid;

create or replace view ledger_entries as
  select shard, user_id, nullif(payment_id, 0) as payment_id, kind, account, amount, created_at
  from postings
  cross join lateral (values
    ('user', user_available),
    ('user_held', user_held),
    ('gateway', gateway),
    ('fees', fees),
    ('opening', opening),
    ('losses', losses)
  ) leg (account, amount)
  where amount <> 0;

-- step: once
-- What a task is for: to carry its payment out, to ask about it and nothing else, or to watch a
-- final payment that may come back. `trace_parent` is the trace of the request that made it (W3C
-- Trace Context); null where it is not sampled.
alter table payment_tasks
  add column purpose text not null default 'charge',
  add column trace_parent text,
  add constraint payment_tasks_purpose check (purpose in ('charge', 'lookup', 'watch')) not valid,
  add constraint payment_tasks_trace_parent check (length(trace_parent) = 55) not valid;

-- step: once
-- A gateway may be asked to end what it has not finished.
alter table payment_attempts
  drop constraint payment_attempts_kind_check,
  add constraint payment_attempts_kind_check
    check (kind in ('charge', 'lookup', 'cancel')) not valid;

-- step: once
-- What operators may do from now on: about a letter, about a payment alone, or about a user's texts.
alter table operator_acts
  drop constraint operator_acts_act_check,
  add constraint operator_acts_act_check
    check (act in ('redrive', 'resolve', 'cancel', 'return', 'correct', 'edit', 'erase')) not valid,
  alter column letter_id drop not null,
  alter column payment_id drop not null,
  add column user_id bigint,
  add constraint operator_acts_about
    check ((act = 'erase') = (payment_id is null) and (act <> 'erase' or user_id is not null))
    not valid;

-- step: once
-- Dead letters of refunds; a return has none, because it is final from the start.
alter table dead_letters
  drop constraint dead_letters_payment_type_check,
  add constraint dead_letters_payment_type_check
    check (payment_type in ('deposit', 'withdraw', 'refund')) not valid;

-- step: once
alter table api_keys
  drop constraint api_keys_scopes_check,
  add constraint api_keys_scopes_check check (
    scopes <@ array['read', 'write', 'refund', 'operate'] and cardinality(scopes) > 0
  ) not valid;

-- What was there before is looked at: this reads whole tables, and blocks nobody.

-- step: once
alter table users validate constraint users_currency;

-- step: once
alter table payments
  validate constraint payments_type_check,
  validate constraint payments_parent,
  validate constraint payments_return_kind,
  validate constraint payments_fee_returned,
  validate constraint payments_given_back,
  validate constraint payments_refused_for;

-- step: once
alter table postings
  validate constraint postings_balanced,
  validate constraint postings_kind_check;

-- step: once
alter table payment_attempts validate constraint payment_attempts_kind_check;

-- step: once
alter table payment_tasks
  validate constraint payment_tasks_purpose,
  validate constraint payment_tasks_trace_parent;
alter table operator_acts
  validate constraint operator_acts_act_check,
  validate constraint operator_acts_about;
alter table dead_letters validate constraint dead_letters_payment_type_check;
alter table api_keys validate constraint api_keys_scopes_check;

-- step: batches
-- The minutes of the payments that are there.
with place as (
  select
    coalesce(split_part($1::text, ' ', 1), '0')::int as shard,
    coalesce(split_part($1::text, ' ', 2), '0')::bigint as id
), looked as materialized (
  select payments.shard, payments.id, payments.created_at
  from payments, place
  where (payments.shard, payments.id) > (place.shard, place.id)
  order by payments.shard, payments.id
  limit 10000
), counted as (
  insert into payment_minutes as minutes (shard, minute, id_min, id_max)
  select shard, date_trunc('minute', created_at, 'UTC'), min(id), max(id)
  from looked
  group by 1, 2
  on conflict (shard, minute) do update
  set
    id_min = least(minutes.id_min, excluded.id_min),
    id_max = greatest(minutes.id_max, excluded.id_max)
)
select case when count(*) = 10000 then (
  select shard || ' ' || id from looked order by shard desc, id desc limit 1
) end as position
from looked
