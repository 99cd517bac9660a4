-- Events are sent to an endpoint again by a run of the same kind as redrives: with `event_ids`
-- instead of `letter_ids`, which is empty then. While one runs its state is 'replaying', so that a
-- process of the version before, which knows letters alone, never takes it for a redrive.

-- step: once
alter table redrives
  add column endpoint_id bigint,
  add column event_ids bigint[],
  drop constraint redrives_state_check,
  add constraint redrives_state_check check (
    state in ('planned', 'running', 'replaying', 'done', 'canceled')
  ) not valid,
  add constraint redrives_replay check (
    (endpoint_id is null) = (event_ids is null)
    and (event_ids is null or cardinality(letter_ids) = 0)
    and cardinality(event_ids) <= 100000
    and (state <> 'replaying' or event_ids is not null)
  ) not valid;

-- step: once
alter table redrives validate constraint redrives_state_check;

-- step: once
alter table redrives validate constraint redrives_replay;

-- step: once
create index redrives_due on redrives (next_at) where state in ('running', 'replaying');

-- step: once
drop index redrives_running;

-- step: once
create index redrives_endpoint on redrives (endpoint_id, id) where endpoint_id is not null;

-- step: once
-- The run that sent it again last.
alter table deliveries add column replay_id bigint;

-- step: once
create index deliveries_replay on deliveries (shard, replay_id, state) where replay_id is not null;

-- step: once
-- Events by age: what a replay looks through. They are written in this order, so it stays small.
create index events_created on events using brin (created_at) with (autosummarize = on);
