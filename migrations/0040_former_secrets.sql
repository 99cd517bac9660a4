-- Secrets from before the one before, while their overlap lasts: whoever has one of them still
-- verifies what is sent. The newest first, each with the time until which it signs.

-- step: once
alter table webhook_endpoints
  add column secrets_older text[] not null default '{}',
  add column secrets_older_until timestamptz[] not null default '{}',
  add constraint webhook_endpoints_older_secrets check (
    cardinality(secrets_older) = cardinality(secrets_older_until)
    and cardinality(secrets_older) <= 8
  ) not valid;

-- step: once
alter table webhook_endpoints validate constraint webhook_endpoints_older_secrets;
