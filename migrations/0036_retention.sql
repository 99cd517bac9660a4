-- Events are dropped when they are older than they are kept: `dropped` is the highest position of
-- one that was, and `kept_since` the time of the newest such event; null: none was.

-- step: once
alter table event_wants
  add column dropped bigint not null default 0,
  add column kept_since timestamptz;
