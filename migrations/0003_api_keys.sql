-- API keys. Only a hash is kept: the secret has 256 random bits, so a fast hash is enough, and it is
-- shown once. Not sharded: keys are few and belong to no user.
create table api_keys (
  id text primary key check (id ~ '^[a-z0-9]{12}$'),
  secret_hash bytea not null check (length(secret_hash) = 32),
  name text not null check (length(name) between 1 and 100),
  scopes text[] not null check (scopes <@ array['read', 'write', 'operate'] and cardinality(scopes) > 0),
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
