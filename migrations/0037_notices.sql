-- Notices of gateways that are authentic, kept for 30 days: by `dedupe_key` one that is sent again
-- is known, and what a gateway said by itself, and what came of it, can be read later. Hints, which
-- anybody could send, are never kept. In the shard of their payment; in the first where they name
-- none.

-- step: once
create table gateway_notices (
  shard int not null,
  gateway text not null,
  dedupe_key text not null check (length(dedupe_key) between 1 and 300),
  payment_id bigint,
  operation text not null,
  ref text not null,
  event text not null,
  status text not null,
  verdict text not null,
  received_at timestamptz not null,
  primary key (shard, gateway, dedupe_key)
);

-- step: once
create index gateway_notices_received on gateway_notices (shard, received_at);
