-- An act of an operator may have an idempotency key, kept in the transaction that does it. The key
-- belongs to the user whose payment the act is about, apart from those of payments.

-- step: once
alter table idempotency_keys
  alter column payment_id drop not null,
  add column act_id bigint,
  add column sent jsonb,
  add constraint idempotency_keys_act check (
    (act_id is null) = (sent is null) and (payment_id is not null or act_id is not null)
  );
