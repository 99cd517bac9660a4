-- The tables of the flow that the baseline re-implements: a payment, the transaction that moves its
-- money, and a task in a queue of its own, with the indexes that its queries need.
create table users (
  id bigint primary key,
  balance bigint not null check (balance >= 0)
) with (fillfactor = 70);

create table payments (
  id bigserial primary key,
  user_id bigint not null references users (id),
  type text not null,
  amount bigint not null,
  commission bigint not null,
  status text not null,
  idempotency_key text,
  attempts int not null default 0,
  last_error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
) with (fillfactor = 85);
create unique index payments_key on payments (user_id, idempotency_key)
  where idempotency_key is not null;

create table transactions (
  id bigserial primary key,
  payment_id bigint not null references payments (id),
  user_id bigint not null,
  amount bigint not null,
  status text not null,
  created_at timestamptz not null default now()
) with (fillfactor = 85);
create index transactions_payment on transactions (payment_id);

create table payment_tasks (
  id bigserial primary key,
  payment_id bigint not null references payments (id),
  status text not null,
  attempts int not null default 0,
  next_retry_at timestamptz not null default now(),
  locked_at timestamptz,
  last_error text
) with (fillfactor = 70);
create index payment_tasks_due on payment_tasks (next_retry_at) where status = 'pending';

create table dead_letters (
  id bigserial primary key,
  payment_id bigint not null references payments (id),
  error text not null,
  attempts int not null,
  created_at timestamptz not null default now()
);
