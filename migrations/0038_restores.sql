-- When this database was restored from a backup, and what was found out about what had happened
-- after it. No process uses one that is not recovered. On each of several servers, of its own part.

create table restores (
  id bigint generated always as identity primary key,
  backup_id uuid not null,
  -- The moment that the backup is of.
  backup_at timestamptz not null,
  restored_at timestamptz not null,
  restored_by text not null check (length(restored_by) between 1 and 100),
  recovered_at timestamptz,
  recovered_by text check (length(recovered_by) between 1 and 100),
  -- Charges at the gateways that the books lack; null: not compared with all of them.
  lost int check (lost >= 0),
  -- Why they were accepted.
  reason text check (length(reason) between 1 and 500),
  check ((recovered_at is null) = (recovered_by is null)),
  check (recovered_at is not null or coalesce(lost::text, reason) is null)
);
