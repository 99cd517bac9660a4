-- The processes of the service that use this database. Each says every few seconds that it lives,
-- and takes its row away when it ends; one that was killed is known by `seen_at`.
create table processes (
  id text primary key check (length(id) between 1 and 64),
  role text not null,
  version text not null,
  host text not null,
  pid int not null,
  started_at timestamptz not null,
  seen_at timestamptz not null
) with (fillfactor = 50);
