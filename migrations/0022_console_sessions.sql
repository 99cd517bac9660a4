-- Who has signed in to the console, with which key. Of a session only a hash of its secret is kept,
-- as of a key. It ends with its key, because whoever reads it reads both. Not sharded: sessions are
-- few and belong to no user.
create table console_sessions (
  id text primary key check (id ~ '^[a-z0-9]{12}$'),
  secret_hash bytea not null check (length(secret_hash) = 32),
  key_id text not null,
  created_at timestamptz not null,
  used_at timestamptz not null,
  expires_at timestamptz not null
) with (fillfactor = 70);
create index console_sessions_key on console_sessions (key_id, created_at);
