-- A redrive of many letters may be started under an idempotency key. It belongs to the API key that
-- it came with, as that of a user does; '' where none is asked for.

-- step: once
alter table redrives
  add column api_key text,
  add column key text,
  add constraint redrives_key check ((key is null) = (api_key is null)) not valid;

-- step: once
alter table redrives validate constraint redrives_key;

-- step: once
create unique index redrives_keys on redrives (api_key, key) where key is not null;
