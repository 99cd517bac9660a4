-- Making an endpoint may have an idempotency key, which belongs to the API key that it came with.
-- An endpoint may have a rate, and every change of one is kept, with who made it.

-- step: once
-- `paced_until` is up to when the rate is used up. `rotated_at`: the secret is not the first one.
alter table webhook_endpoints
  add column api_key text,
  add column key text,
  add column sent jsonb,
  add column rotated_at timestamptz,
  add column rate_per_second int,
  add column paced_until timestamptz,
  add constraint webhook_endpoints_key check (
    (key is null) = (api_key is null) and (key is null) = (sent is null)
    and rate_per_second between 1 and 1000
  ) not valid;

-- step: once
alter table webhook_endpoints validate constraint webhook_endpoints_key;

-- step: once
create unique index webhook_endpoints_keys on webhook_endpoints (api_key, key)
  where key is not null;

-- step: once
create sequence endpoint_act_ids;

-- What was done to endpoints, append-only; `actor` null: the service itself. No secret is in it.
create table endpoint_acts (
  id bigint primary key,
  endpoint_id bigint not null,
  act text not null check (act in ('create', 'change', 'rotate', 'disable', 'remove')),
  actor text check (length(actor) between 1 and 100),
  request_id text,
  before jsonb,
  after jsonb,
  created_at timestamptz not null
);
create index endpoint_acts_endpoint on endpoint_acts (endpoint_id, id);
revoke update, delete, truncate on endpoint_acts from current_user;
