-- Where payments are in ranges of ids, the idempotency keys of those behind the first range: a key
-- is unique over all of them, which no index of a range can see to. Nothing is in it elsewhere.

-- step: once
create table payment_keys (
  shard int not null,
  user_id bigint not null,
  key text not null,
  payment_id bigint not null,
  primary key (shard, user_id, key)
);

-- step: once
create unique index payment_keys_payment on payment_keys (shard, payment_id);
