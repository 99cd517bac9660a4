-- Several gateways. The tasks of each are claimed by themselves: however many wait for one that is
-- down, the claims of the others never read them. Those of `http`, mostly the only one, have an
-- index of their own, so that nothing compares its name at every level.
-- step: once
create index payment_tasks_http
  on payment_tasks (shard, operation, run_at) where gateway = 'http';

-- step: once
create index payment_tasks_gateway
  on payment_tasks (shard, gateway, operation, run_at) where gateway <> 'http';

-- step: once
drop index payment_tasks_operation;
