-- Final payments that are looked at again, because they may come back: a charge-back, a payout that
-- is returned, a refund made at the gateway itself. Claimed like tasks, and kept apart from them:
-- what waits here for months is no open payment, so no claim, list or gauge of those reads it, and
-- a process of the version before never takes it for a charge. `looked`: there is nothing more to
-- ask; at `run_at` it goes, and until then no notice has the gateway asked again. `noticed`: a
-- notice came during the claim. `fence` begins with the time, so that a claim of a row that went is
-- never one of a row that came after it.

-- step: once
create table payment_watches (
  shard int not null,
  payment_id bigint not null,
  gateway text not null,
  run_at timestamptz not null,
  fence bigint not null,
  leased boolean not null default false,
  looked boolean not null default false,
  noticed boolean not null default false,
  asked_at timestamptz,
  primary key (shard, payment_id)
) with (fillfactor = 90);

-- step: once
create index payment_watches_due on payment_watches (shard, gateway, run_at);
