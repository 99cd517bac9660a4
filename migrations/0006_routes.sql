-- The queue by route: which gateway a task goes to, and for which operation. A route that is down
-- keeps its own tasks from being claimed, and however many of them wait, the claims of the other
-- routes never read them. The defaults are for processes of the version before, which go on
-- accepting while they are replaced: a task under the wrong route is carried out all the same.
alter table payment_tasks add column gateway text not null default 'http';
alter table payment_tasks add column operation text not null default 'charge';
update payment_tasks task
set operation = 'payout'
from payments payment
where payment.shard = task.shard and payment.id = task.payment_id and payment.type = 'withdraw';

-- The claim's one index: due tasks of a route in a shard, oldest first.
create index payment_tasks_route on payment_tasks (shard, gateway, operation, run_at);
drop index payment_tasks_due;

-- The circuit breaker of each route, shared by all workers. What it knew is seconds old, so it begins
-- anew. `trips` > 0 means open until `open_until`, and then half open: whoever holds the probe tries.
-- `cause` and `reason` say why. The outage began at `opened_at`; one that ended less than a minute
-- before the next goes on. `answered_at` is when the gateway last answered a charge with a yes or a
-- documented no, `worked_at` when a worker last turned; both are a few seconds late.
drop table gateway_breakers;
create table gateway_breakers (
  gateway text not null,
  operation text not null,
  trips int not null default 0,
  cause text check (cause in ('charges', 'lookups', 'misconfigured')),
  reason text,
  opened_at timestamptz,
  closed_at timestamptz,
  open_until timestamptz,
  probe_until timestamptz,
  answered_at timestamptz,
  worked_at timestamptz,
  primary key (gateway, operation)
) with (fillfactor = 50);
