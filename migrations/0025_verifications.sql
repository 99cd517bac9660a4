-- How checks of the books came out: those that somebody started, and the newest of those that
-- workers make of what changed. Of each scope one runs at a time; one whose process has died is
-- known by `seen_at`. Not sharded: a check is of all shards.
create table verifications (
  id bigint generated always as identity primary key,
  scope text not null check (scope in ('recent', 'full')),
  state text not null check (state in ('running', 'done', 'failed')),
  started_at timestamptz not null,
  started_by text not null check (length(started_by) between 1 and 100),
  seen_at timestamptz not null,
  ended_at timestamptz,
  progress jsonb,
  report jsonb,
  error text,
  check ((state = 'running') = (ended_at is null) and (state = 'done') = (report is not null))
);
create unique index verifications_running on verifications (scope) where state = 'running';
