-- To which trace a payment belongs, where it is traced: the `traceparent` of its request, for the
-- calls of the gateway and of webhooks. Nothing is written while tracing is off.

-- step: once
create table payment_traces (
  shard int not null,
  payment_id bigint not null,
  traceparent text not null check (length(traceparent) = 55),
  primary key (shard, payment_id)
);
