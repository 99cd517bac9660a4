-- Why a payment was refused when it arrived has a column of its own: until now it was told from a
-- gateway's decline by the beginning of `last_error`, which stays as it is, because it is shown.

-- step: once
alter table payments add column refused_for text;

-- step: batches
with part as materialized (
  select shard, id, last_error
  from payments
  where (shard, id) > (
    coalesce(split_part($1::text, ' ', 1)::int, -1),
    coalesce(split_part($1::text, ' ', 2)::bigint, 0)
  )
  order by shard, id
  limit 10000
), filled as (
  update payments payment
  set refused_for = substr(part.last_error, length('refused:') + 1)
  from part
  where payment.shard = part.shard and payment.id = part.id and part.last_error like 'refused:%'
)
select (
  select shard || ' ' || id
  from part
  order by shard desc, id desc
  limit 1
) as position;
