import { systemClock } from '../../src/adapters/clock.ts'
import { postgres } from '../../src/adapters/postgres.ts'
import { shardOf } from '../../src/domain/shard.ts'
import { verify } from '../../src/verify/verify.ts'
import { definite, send } from './load.ts'
import type { Scenario, Stage } from './scenario.ts'
import { accepts, noSlower, type Took } from './slower.ts'
import type { Stack } from './stack.ts'
import { check, type Check } from './witnesses.ts'

const SHARDS = 8
const ILL = 3
/** Until nothing waits any more for the locks that the preparation takes. */
const SETTLED_MS = 10_000
/** How long others are watched before. */
const CALM_MS = 20_000
const ILL_MS = 60_000
const LOOK_MS = 1_000
/** Until its first payment goes through again. */
const BACK_MS_MAX = 30_000

const FAULTLESS = {
  timeout_after: 0,
  error_before: 0,
  error_after: 0,
  reset_after: 0,
  latency_ms: 5,
  latency_jitter_ms: 20,
}

/** Whether rows of the shard may be touched: asked of no other row. */
const WELL =
  'create or replace function is_well(shard int) returns boolean language plpgsql cost 10000'
const GET_WELL = `${WELL} as $$ begin return true; end $$`

/** Refuse the service every statement that touches a row of the shard, as a broken disk would. */
const FALL_ILL = `${WELL} as $$
  begin
    if current_setting('application_name') not like 'payments %' then return true; end if;
    raise exception 'shard % cannot be read', shard using errcode = '58030';
  end $$`

/** From now on every row of the shard is asked for. Tables are locked for it, so it comes first. */
const PREPARE = `
  do $do$
  declare own text;
  begin
    for own in
      select table_name from information_schema.columns
      join information_schema.tables using (table_schema, table_name)
      where table_schema = 'public' and column_name = 'shard' and table_type = 'BASE TABLE'
    loop
      execute format(
        'create policy illness on %I using (shard <> ${ILL} or is_well(shard))
         with check (shard <> ${ILL} or is_well(shard))', own);
      execute format('alter table %I enable row level security', own);
      execute format('alter table %I force row level security', own);
    end loop;
  end $do$`

/** One shard of eight cannot be read or written for a minute; the other seven must not notice. */
export const ILL_SHARD: Scenario = {
  name: 'ill-shard',
  title: 'One shard of eight fails at every statement for a minute, under load',
  lane: 'alone',
  perSecond: 60,
  needs: { 'a shard ill for a minute': 1, 'refused by the ill shard': 20 },
  stack: () => ({
    apis: 2,
    workers: 2,
    shards: SHARDS,
    gatewayFaults: FAULTLESS,
    env: { DATABASE_POOL: '10' },
  }),
  async run(stage) {
    const { stack, wait, fired, healed, add, expect, until } = stage
    await stack.ready()
    await stack.query(GET_WELL)
    await stack.query(PREPARE)
    await wait(SETTLED_MS)
    const lostBefore = await lost(stack)
    const beganMs = performance.now()
    const beganAt = new Date()
    await wait(CALM_MS)
    await stack.query(FALL_ILL)
    fired('a shard ill for a minute')
    const illMs = performance.now()
    const illAt = new Date()
    const lists: string[] = []
    while (performance.now() < illMs + ILL_MS / 2) {
      lists.push(...(await wrongLists(stack)))
      await wait(LOOK_MS)
    }
    expect(await booksOfOthers(stack))
    await wait(Math.max(0, illMs + ILL_MS - performance.now()))
    const doubted = await trouble(stack, lostBefore)
    await stack.query(GET_WELL)
    healed('the shard is well')
    const wellMs = performance.now()
    const wellAt = new Date()
    const back = await until(BACK_MS_MAX, () => goesThrough(stack, wellAt))
    const tookMs = Math.round(performance.now() - wellMs)

    const name = 'The ill shard recovers by itself'
    expect(check(name, back ? [] : [`not in ${BACK_MS_MAX} ms`], `after ${tookMs} ms`))
    expect(check('Lists leave out the ill shard, and say so', lists, 'asked each second'))
    expect(check('Nothing of the other shards is in doubt', doubted, 'no letter, no lost worker'))
    expect(answers(stage, illMs, wellMs))
    add('refused by the ill shard', refusals(stage, illMs, wellMs).ill)
    const others = stage.journal().filter(({ userId }) => shardOf(BigInt(userId), SHARDS) !== ILL)
    const asked = accepts(others, beganMs, illMs)
    expect(noSlower('Accepting takes the others no longer', asked, accepts(others, illMs, wellMs)))
    const settled = await settles(stack, beganAt, illAt)
    const then = await settles(stack, illAt, wellAt)
    expect(noSlower('Settling takes the others no longer', settled, then))
  },
}

/** What is wrong with the lists that an API shows now. */
async function wrongLists({ apis }: Stack): Promise<string[]> {
  const wrong: string[] = []
  for (const path of ['payments?limit=20', 'users?limit=20', 'overview']) {
    const { status, text } = await send(`${apis[0]?.url}/api/v1/${path}`, null, null)
    const missing = /"missing_shards":\[([^\]]*)\]/.exec(text)?.[1]
    if (status !== 200 || missing !== String(ILL)) wrong.push(`${path}: ${status} ${missing}`)
  }
  return wrong
}

/** What `payments verify` says of the other shards meanwhile. */
async function booksOfOthers({ databaseUrl, shards }: Stack): Promise<Check> {
  const db = postgres({
    url: databaseUrl,
    currency: 'USD',
    shards,
    poolMax: 2,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 20_000,
    lockTimeoutMs: 5_000,
    idleTransactionTimeoutMs: 20_000,
    name: 'payments verify',
  })
  try {
    const report = await verify({ db, clock: systemClock })
    const payments = report.checked['payment'] ?? 0
    const wrong = [
      ...report.rules
        .filter(({ violations }) => violations > 0)
        .map(({ rule, violations }) => `${rule}: ${violations}`),
      ...(report.missing.join() === String(ILL) ? [] : [`missing: ${report.missing.join()}`]),
      ...(payments > 0 ? [] : ['no payment was checked']),
    ]
    return check('The books of the others can be verified', wrong, `${payments} payments`)
  } finally {
    await db.close()
  }
}

/** What has come of payments of the other shards that should not have. */
async function trouble(stack: Stack, lostBefore: number): Promise<string[]> {
  const [row] = await stack.query<{ unknown: number; letters: number }>(`
    select
      (select count(*) from payments
        where shard <> ${ILL} and status = 'unknown')::int as unknown,
      (select count(*) from dead_letters where shard <> ${ILL})::int as letters`)
  const found = { ...row, lost: (await lost(stack)) - lostBefore }
  return Object.entries(found).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]))
}

/** Claims of the other shards that no worker had settled when their lease ended. */
async function lost({ query }: Stack): Promise<number> {
  const [row] = await query<{ count: number }>(`
    select count(*)::int as count from payment_attempts
    where shard <> ${ILL} and reason = 'worker_lost'`)
  return row?.count ?? 0
}

/** Whether a payment of the ill shard that was made since has come to its end. */
async function goesThrough({ query }: Stack, since: Date): Promise<boolean> {
  const rows = await query(`
    select 1 from payments
    where shard = ${ILL} and status = 'success' and finished_at > '${since.toISOString()}'
      and created_at > '${since.toISOString()}'
    limit 1`)
  return rows.length > 0
}

/** How often users of the ill shard, and all others, were refused between two moments. */
function refusals(stage: Stage, fromMs: number, toMs: number): { ill: number; others: number } {
  const counts = { ill: 0, others: 0 }
  for (const { userId, answers: all } of stage.journal()) {
    const refused = all.filter(
      ({ status, atMs }) => status >= 500 && atMs > fromMs && atMs < toMs,
    ).length
    counts[shardOf(BigInt(userId), SHARDS) === ILL ? 'ill' : 'others'] += refused
  }
  return counts
}

function answers(stage: Stage, illMs: number, wellMs: number): Check {
  const { ill, others } = refusals(stage, illMs, wellMs)
  const unanswered = stage
    .journal()
    .filter(({ userId }) => shardOf(BigInt(userId), SHARDS) !== ILL)
    // Whoever was asked a moment ago has no answer yet.
    .filter((entry) => entry.answers.length > 0 && definite(entry) === undefined).length
  const wrong = others + unanswered === 0 ? [] : [`${others} refused, ${unanswered} unanswered`]
  return check('Nobody of the other shards is refused', wrong, `${ill} of the ill shard were`)
}

/** How long payments of the other shards took that were made between two moments. */
async function settles({ query }: Stack, from: Date, to: Date): Promise<Took[]> {
  return await query<Took>(`
    select extract(epoch from created_at)::float8 * 1000 as "atMs",
      extract(epoch from coalesce(finished_at, now()) - created_at)::float8 * 1000 as ms
    from payments
    where shard <> ${ILL} and last_error is null
      and created_at between '${from.toISOString()}' and '${to.toISOString()}'`)
}
