-- Who sends a single event to an endpoint again is in the record of the endpoint, and may ask for
-- it under an idempotency key. It belongs to the API key that it came with; '' where none is asked
-- for.

-- step: once
alter table endpoint_acts
  drop constraint endpoint_acts_act_check,
  add constraint endpoint_acts_act_check
    check (act in ('create', 'change', 'rotate', 'disable', 'remove', 'retry')) not valid,
  add column api_key text,
  add column key text,
  add column sent jsonb,
  add constraint endpoint_acts_key check (
    (key is null) = (api_key is null) and (key is null) = (sent is null)
    and (key is null or act = 'retry')
  ) not valid;

-- step: once
alter table endpoint_acts
  validate constraint endpoint_acts_act_check,
  validate constraint endpoint_acts_key;

-- step: once
create unique index endpoint_acts_keys on endpoint_acts (api_key, key) where key is not null;

-- step: once
-- What an endpoint was is read from its changes, however often something was sent to it again.
create index endpoint_acts_changes on endpoint_acts (endpoint_id, id) where act <> 'retry';

-- step: once
-- The newest of those acts that has made a delivery due. An act is kept before it is carried out,
-- so one that was cut short is carried out when it is asked for again, and no other one.
alter table deliveries add column retry_id bigint;
