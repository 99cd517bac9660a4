import type { TestContext } from 'node:test'
import pg from 'pg'
import type { Db, Statement } from '../src/ports.ts'
import { withShards } from '../src/each-shard.ts'
import { raw } from './harness.ts'

/**
 * Rows of each table: enough for an index to be worth reading, and few enough for `analyze` to look
 * at all of them, so that what it says is the same each time.
 */
const ROWS = 20_000

/** A long history and a long queue, of one shard, the same each time. */
const HISTORY = `
  insert into users
  select 0, n, 100, 50, timestamptz '2030-01-01' from generate_series(1, ${ROWS}) n;
  insert into payments
    (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, finished_at,
     gateway_key, idempotency_key, redrive_of)
  select
    0, n, n * 7 % ${ROWS} + 1, case when n % 2 = 0 then 'deposit' else 'withdraw' end,
    case when n % 50 = 0 then 'unknown' when n % 10 = 0 then 'failed' else 'success' end,
    100, 2, 200, timestamptz '2030-01-01' + n * interval '1 second',
    case when n % 50 = 0 then null else timestamptz '2030-01-02' end,
    lpad(to_hex(n), 32, '0')::uuid, case when n % 2 = 0 then 'key ' || n end,
    case when n % 100 = 0 then n - 1 end
  from generate_series(1, ${ROWS}) n;
  insert into payment_tasks (shard, payment_id, operation, run_at)
  select
    0, n, case when n % 2 = 0 then 'charge' else 'payout' end,
    timestamptz '2030-01-01' + n * interval '1 second'
  from generate_series(1, ${ROWS}) n;
  insert into payment_attempts
    (shard, payment_id, fence, call, kind, outcome, sent, started_at, took_ms)
  select
    0, n / 2, 1, n % 2, 'charge', case when n % 2 = 0 then 'in_doubt' else 'success' end, true,
    timestamptz '2030-01-01' + n * interval '1 second', 10
  from generate_series(1, ${ROWS}) n;
  insert into postings
  select
    0, n / 2 * 7 % ${ROWS} + 1, n / 2, case when n % 2 = 0 then 'hold' else 'settle' end, -1, 1, 0,
    0, 0, timestamptz '2030-01-01' + n * interval '1 second'
  from generate_series(1, ${ROWS}) n;
  insert into dead_letters
    (shard, id, payment_id, user_id, payment_type, amount, commission, class, error, attempts,
     state, created_at)
  select
    0, n, n, n * 7 % ${ROWS} + 1, 'deposit', 100, 2,
    case when n % 5 = 0 then 'unknown' else 'failed' end, 'http_502', 3,
    case when n % 20 = 0 then 'open' else 'resolved' end,
    timestamptz '2030-01-01' + n * interval '1 second'
  from generate_series(1, ${ROWS}) n;
  insert into operator_acts
    (shard, id, payment_id, letter_id, act, actor, reason, request_id, before, after, created_at)
  select 0, n, n, n, 'resolve', 'jane', 'seen', 'r', '{}', '{}', timestamptz '2030-01-02'
  from generate_series(1, ${ROWS}) n;
  insert into redrives (id, state, filter, letter_ids, amount, created_at, created_by, next_at)
  select
    n, case when n % 1000 = 0 then 'running' else 'done' end, '{}', '{}', 0,
    timestamptz '2030-01-01', 'jane', timestamptz '2030-01-01' + n * interval '1 second'
  from generate_series(1, ${ROWS}) n;
  insert into payment_details (shard, payment_id, reference, sent)
  select 0, n, 'ref ' || n, '{}' from generate_series(1, ${ROWS}) n;
  insert into payment_traces
  select 0, n, '00-' || lpad('', 32, 'a') || '-' || lpad('', 16, 'b') || '-01'
  from generate_series(1, ${ROWS}) n;
  insert into gateway_notices
  select
    0, 'stripe', 'evt_' || n, n, 'charge', 'pi_' || n, 'payment_intent.succeeded', '', 'hurried',
    timestamptz '2030-01-01' + n * interval '1 minute'
  from generate_series(1, ${ROWS}) n;
  insert into payment_watches (shard, payment_id, gateway, run_at, fence, looked)
  select 0, n, 'http', timestamptz '2030-01-01' + n * interval '1 second', n, n % 50 = 0
  from generate_series(1, ${ROWS}) n;
  insert into payment_references select 0, n, 'ref ' || n, n from generate_series(1, ${ROWS}) n;
  insert into payment_children select 0, n / 2, n, 'ref ' || n from generate_series(1, ${ROWS}) n;
  insert into idempotency_keys
  select 0, n, 'key ' || n, n, timestamptz '2030-01-01' from generate_series(1, ${ROWS}) n;
  insert into payment_keys select 0, n, 'key ' || n, n from generate_series(1, ${ROWS}) n;
  insert into user_keys
  select 0, 'jane', 'key ' || n, n, '{}', timestamptz '2030-01-01'
  from generate_series(1, ${ROWS}) n;
  insert into user_details select 0, n, 'id ' || n, null from generate_series(1, ${ROWS}) n;
  insert into gateway_refs select 0, 'http', 'ref ' || n, n from generate_series(1, ${ROWS}) n;
  insert into payment_minutes
  select 0, timestamptz '2030-01-01' + n * interval '1 minute', n, n
  from generate_series(1, ${ROWS}) n;
  insert into events (shard, id, payment_id, type, sequence, body, created_at, position)
  select
    0, n, n, case when n % 10 = 0 then 'payment.failed' else 'payment.succeeded' end, 1,
    repeat('x', 700), timestamptz '2030-01-01' + n * interval '1 minute',
    case when n % 200 = 0 then null else n end
  from generate_series(1, ${ROWS}) n;
  insert into webhook_subscriptions (shard, endpoint_id, version, types, deliver)
  select 0, n, 1, '{payment.succeeded}', true from generate_series(1, 4) n;
  insert into deliveries
    (shard, event_id, endpoint_id, payment_id, position, state, run_at, attempts, created_at,
     ended_at, replay_id)
  select
    0, n, n % 4 + 1, n, n,
    case when n % 100 = 0 then 'failed' when n % 20 = 0 then 'pending' else 'delivered' end,
    timestamptz '2030-01-01' + n * interval '1 minute', 1, timestamptz '2030-01-01',
    case when n % 20 = 0 and n % 100 <> 0 then null else timestamptz '2030-01-02' end,
    case when n % 10 = 0 then n / 1000 end
  from generate_series(1, ${ROWS}) n;
  insert into delivery_attempts
  select
    0, n, n % 4 + 1, 1, timestamptz '2030-01-01' + n * interval '1 minute', 10, 200
  from generate_series(1, ${ROWS}) n`

/** Everything is done, as it is most of the time. */
const CALM = `
  update events set position = id where position is null;
  update deliveries set state = 'delivered', ended_at = timestamptz '2030-01-02'
  where state = 'pending';
  update dead_letters set state = 'resolved' where state = 'open';
  update redrives set state = 'done' where state = 'running';
  delete from payment_tasks;
  delete from payment_watches;
  update payments set status = 'success', finished_at = timestamptz '2030-01-02'
  where status in ('new', 'unknown')`

/** The tables that grow for as long as payments are made. */
export const LARGE: readonly string[] = [
  'users',
  'payments',
  'payment_tasks',
  'payment_attempts',
  'postings',
  'dead_letters',
  'operator_acts',
  'redrives',
  'payment_details',
  'payment_traces',
  'payment_watches',
  'gateway_notices',
  'payment_references',
  'payment_children',
  'idempotency_keys',
  'payment_keys',
  'user_keys',
  'user_details',
  'gateway_refs',
  'payment_minutes',
  'events',
  'deliveries',
  'delivery_attempts',
]

/** What a plan depends on besides the data, as the embedded server has it. */
const SETTINGS = `
  set random_page_cost = 1.1;
  set effective_cache_size = '4GB';
  set work_mem = '4MB';
  set max_parallel_workers_per_gather = 0;
  set jit = off`

/** A connection to a database with the history, of which PostgreSQL knows everything. */
export async function planner(t: TestContext, url: string): Promise<pg.Client> {
  const client = await newPlanner(t, url)
  await client.query(HISTORY)
  await analyze(client)
  return client
}

/** A connection to a database of which PostgreSQL knows nothing yet. */
export async function newPlanner(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end())
  await client.query(SETTINGS)
  return client
}

async function analyze(client: pg.Client): Promise<void> {
  for (const table of LARGE) await client.query(`vacuum (freeze, analyze) ${table}`)
}

/** Let PostgreSQL learn that nothing waits, and that nothing ever does. */
export async function calmDown(client: pg.Client): Promise<void> {
  await client.query(CALM)
  await analyze(client)
}

/** A plan as PostgreSQL tells it. */
export interface Plan {
  readonly 'Node Type': string
  readonly Operation?: string
  readonly 'Join Type'?: string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'CTE Name'?: string
  readonly 'Subplan Name'?: string
  readonly 'Join Filter'?: string
  readonly 'Actual Rows'?: number
  readonly 'Actual Loops'?: number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly Plan[]
}

/** Nodes that only pass on what they read: a column with a default is enough for one more. */
const PASSING = new Set(['Subquery Scan', 'Result'])

/**
 * A plan without its costs and counts: its nodes, a line each, and below each one, indented, what
 * it reads from.
 */
export function shapeOf(plan: Plan, depth = 1): string {
  const [only, ...others] = plan.Plans ?? []
  if (PASSING.has(plan['Node Type']) && only !== undefined && others.length === 0) {
    return shapeOf(only, depth)
  }
  const join = plan['Join Type'] === 'Inner' ? undefined : plan['Join Type']
  const words = [
    plan.Operation ?? plan['Node Type'],
    join,
    plan['Index Name'],
    plan['Relation Name'] ?? plan['CTE Name'],
  ]
  const indent = '  '.repeat(depth)
  const lines = [indent + words.filter((word) => word !== undefined).join(' ')]
  for (const child of plan.Plans ?? []) {
    const title = child['Subplan Name']
    if (title !== undefined) lines.push(`${indent}  ${title}:`)
    lines.push(shapeOf(child, depth + (title === undefined ? 1 : 2)))
  }
  return lines.join('\n')
}

interface Explained {
  readonly 'QUERY PLAN': readonly [{ readonly Plan: Plan }]
}

/** The shape of the plan that a statement has for all values. */
export async function genericShape(client: pg.Client, text: string): Promise<string> {
  const { rows } = await client.query<Explained>(`explain (generic_plan, format json) ${text}`)
  const [row] = rows
  return row === undefined ? '' : shapeOf(row['QUERY PLAN'][0].Plan)
}

/**
 * Where each row of one side is compared with each of the other, to find those that are equal: what
 * is found in no index is looked for as often as there are rows on both sides.
 */
export async function comparedOneByOne(client: pg.Client, text: string): Promise<string[]> {
  const { rows } = await client.query<Explained>(`explain (generic_plan, format json) ${text}`)
  const within = (plan: Plan): string[] => {
    const { 'Node Type': type, 'Join Filter': filter = '', Plans: plans = [] } = plan
    const compares = type === 'Nested Loop' && /\w\.\w+ = \w+\.\w/.test(filter)
    return [...(compares ? [filter] : []), ...plans.flatMap(within)]
  }
  return rows.flatMap((row) => within(row['QUERY PLAN'][0].Plan))
}

/** A database that explains what it runs, by the plan for all values or by that for the given. */
export function explaining(
  db: Db,
  plans: 'generic' | 'custom',
  onPlan: (name: string, plan: Plan) => void,
): Db {
  return withShards(db, (shard) => ({
    ...shard,
    async run<Row>(statement: Statement<Row>, values: readonly unknown[]) {
      await shard.transaction(async (tx) => {
        await tx.run(raw(`set local plan_cache_mode = force_${plans}_plan`), [])
        const name = `explained_${statement.name}`
        await tx.run(raw(`prepare ${name} as ${statement.text}`), [])
        const filled = statement.clock === true ? [shard.number, null] : [shard.number]
        const given = [...filled, ...values].map(literal).join(', ')
        const text = `explain (analyze, format json) execute ${name}(${given})`
        const [row] = await tx.run(raw<Explained>(text), [])
        await tx.run(raw(`deallocate ${name}`), [])
        if (row !== undefined) onPlan(statement.name, row['QUERY PLAN'][0].Plan)
      })
      return shard.run(statement, values)
    },
  }))
}

function literal(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return literal(`{${value.map((one) => `"${one}"`).join()}}`)
  return `'${(value instanceof Date ? value.toISOString() : String(value)).replaceAll("'", "''")}'`
}
