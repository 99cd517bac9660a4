-- The ids that a run went through are needed while it runs. `total` is how many there were, once
-- they are forgotten; null: they are still there.

-- step: once
alter table redrives add column total int;

-- step: once
create index redrives_kept on redrives (ended_at) where total is null;

-- step: once
-- Replays find the events of a time by their positions now.
drop index events_created;
