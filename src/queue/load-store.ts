import { GATEWAY, OPERATIONS, type Operation, type Route } from '../domain/payment.ts'
import { OF_HTTP, ofGateway } from './route-store.ts'
import {
  CLOCK,
  timed,
  timedUnsharded,
  type Runner,
  type Server,
  type Shard,
  type Statement,
  type Unsharded,
} from '../ports.ts'

/** What the queue of a shard looks like. */
interface QueueView {
  readonly due: number
  readonly leased: number
  readonly waiting: number
  readonly oldestDueAt: Date | null
  readonly oldestDueSeconds: number
}

/**
 * Count the queue by what its tasks wait for. Reads every open task: for gauges, and for what is
 * kept for a second.
 */
const VIEW: Statement<QueueView> = {
  name: 'tasks_view',
  ...timed`
  with ${CLOCK}
  select
    count(*) filter (where run_at <= time)::float8 as due,
    count(*) filter (where run_at > time and leased)::float8 as leased,
    count(*) filter (where run_at > time and not leased)::float8 as waiting,
    min(run_at) filter (where run_at <= time) as "oldestDueAt",
    coalesce(extract(epoch from max(time) - min(run_at) filter (where run_at <= time)), 0)::float8
      as "oldestDueSeconds"
  from clock
  left join payment_tasks on shard = $1`,
}

/**
 * The age in milliseconds of the oldest due task of each operation that has one: one look at an end
 * of the claim's index for each.
 */
const OLDEST_DUE: Statement<OldestDue> = {
  name: 'tasks_oldest_due',
  ...timed`
  with ${CLOCK}
  ${oldestOf(OF_HTTP)}`,
}

/** The same of the gateway `$4`, which is another. */
const OLDEST_DUE_OF: Statement<OldestDue> = {
  name: 'tasks_oldest_due_of',
  ...timed`
  with ${CLOCK}
  ${oldestOf(ofGateway('$4'))}`,
}

/** The oldest due task of an operation in a shard. */
export interface OldestDue {
  readonly operation: Operation
  readonly ageMs: number
}

function oldestOf(gateway: string): string {
  return `select
    asked.operation, (extract(epoch from time - oldest.run_at) * 1000)::float8 as "ageMs"
  from clock, unnest($3::text[]) as asked (operation)
  cross join lateral (
    select run_at
    from payment_tasks
    where shard = $1 and ${gateway} and operation = asked.operation
    order by run_at
    limit 1
  ) oldest
  where oldest.run_at <= time`
}

/**
 * Which shards of a server, from `$2` to `$3`, have due tasks of which routes: of the operations
 * `$4` of the gateway http, and of the operations `$6` of the gateways `$5`, which are others. One
 * look at an end of the claim's index for each shard and route. Only where to ask, nothing else.
 */
const SHARDS_DUE: Unsharded<DueThere> = {
  name: 'looks_tasks',
  ...timedUnsharded`
  with ${CLOCK}
  ${shardsDueOf(`'${GATEWAY}'`, `unnest($4::text[]) as wanted (operation)`, OF_HTTP)}
  union all
  ${shardsDueOf(
    'other.gateway',
    `unnest($5::text[]) as other (gateway)
  cross join unnest($6::text[]) as wanted (operation)`,
    ofGateway('other.gateway'),
  )}`,
}

/** A shard that has due tasks of a route. */
interface DueThere extends Route {
  readonly number: number
}

function shardsDueOf(name: string, routes: string, gateway: string): string {
  return `select ${name} as gateway, wanted.operation, asked.number
  from clock, generate_series($2::int, $3::int) as asked (number)
  cross join ${routes}
  cross join lateral (
    select run_at
    from payment_tasks
    where shard = asked.number and ${gateway} and operation = wanted.operation
    order by run_at
    limit 1
  ) oldest
  where oldest.run_at <= time`
}

/**
 * Tasks of a route that wait to be claimed, those claimed now or about to be included, but no
 * lookups that are due far in the future. At most `$5`: nobody wants to know how many more there
 * are.
 */
const WAITING: Statement<{ count: number }> = {
  name: 'tasks_waiting',
  ...timed`
  with ${CLOCK}
  ${waitingOf(OF_HTTP)}`,
}

/** The same of the gateway `$5`, which is another. */
const WAITING_OF: Statement<{ count: number }> = {
  name: 'tasks_waiting_of',
  ...timed`
  with ${CLOCK}
  ${waitingOf(ofGateway('$5'))}`,
}

function waitingOf(gateway: string): string {
  return `select count(*)::int as count
  from (
    select
    from payment_tasks
    where shard = $1 and ${gateway} and operation = $3
      and run_at <= (select time from clock) + interval '1 minute'
    limit $4
  ) waiting`
}

/** How many tasks of one gateway are counted: nobody wants to know how many more there are. */
const STRANDED_MAX = 10_000

/**
 * Open tasks by gateway, each counted up to a bound, of gateways that are not in `$2`. The names
 * are found one after the other through the index, so that no queue is read for it.
 */
const STRANDED: Statement<{ gateway: string; count: number }> = {
  name: 'tasks_stranded',
  text: `
  with recursive named (gateway) as (
    (
      select gateway
      from payment_tasks
      where shard = $1 and gateway <> '${GATEWAY}'
      order by gateway
      limit 1
    )
    union all
    select (
      select gateway
      from payment_tasks
      where shard = $1 and gateway <> '${GATEWAY}' and gateway > named.gateway
      order by gateway
      limit 1
    )
    from named
    where named.gateway is not null
  ), counted (gateway, count) as (
    select '${GATEWAY}' as gateway, (
      select count(*)
      from (
        select 1
        from payment_tasks
        where shard = $1 and gateway = '${GATEWAY}'
        limit ${STRANDED_MAX}
      ) own
    ) as count
    union all
    select named.gateway, (
      select count(*)
      from (
        select 1
        from payment_tasks
        where shard = $1 and gateway <> '${GATEWAY}' and gateway = named.gateway
        limit ${STRANDED_MAX}
      ) own
    )
    from named
    where named.gateway is not null
  )
  select gateway, count::int
  from counted
  where count > 0 and gateway <> all ($2::text[])`,
}

/** Count a shard's queue. */
export async function viewQueue(shard: Runner): Promise<QueueView> {
  const [row] = await shard.run(VIEW, [])
  return row ?? { due: 0, leased: 0, waiting: 0, oldestDueAt: null, oldestDueSeconds: 0 }
}

/** The age of the oldest due task of each operation that has one, in milliseconds. */
export function oldestDueMs(shard: Runner, gateway: string): Promise<OldestDue[]> {
  if (gateway === GATEWAY) return shard.run(OLDEST_DUE, [OPERATIONS])
  return shard.run(OLDEST_DUE_OF, [OPERATIONS, gateway])
}

/** Which shards of a server have due tasks of which operations of some gateways. */
export function shardsWithDue(
  session: Shard,
  { first, last }: Server,
  gateways: readonly string[],
  operations: readonly Operation[] = OPERATIONS,
): Promise<readonly DueThere[]> {
  const others = gateways.filter((name) => name !== GATEWAY)
  const ofHttp = others.length < gateways.length ? operations : []
  return session.run(SHARDS_DUE, [first, last, ofHttp, others, operations])
}

/** Open tasks of other gateways than these, by gateway. */
export async function strandedTasks(
  shard: Runner,
  gateways: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await shard.run(STRANDED, [gateways])
  return new Map(rows.map(({ gateway, count }) => [gateway, count]))
}

/** Tasks of a route that are due within a minute, counted up to `limit`. */
export async function waitingTasks(
  shard: Runner,
  { gateway, operation }: Route,
  limit: number,
): Promise<number> {
  const [row] =
    gateway === GATEWAY
      ? await shard.run(WAITING, [operation, limit])
      : await shard.run(WAITING_OF, [operation, limit, gateway])
  return row?.count ?? 0
}
