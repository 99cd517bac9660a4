import type { Scenario } from './scenario.ts'
import type { Stack } from './stack.ts'
import { check } from './witnesses.ts'

const DOWN_MS = 60_000
/** Until the breaker has seen enough, and the others have heard of it. */
const NOTICED_MS = 5_000
/**
 * Probes of a minute: five of each operation at each end of a pause that doubles from 1 s to 15 s.
 */
const CALLS_MAX = 100
/** Payments that may have used up their three attempts in the first moments and as probes. */
const BURNED_MAX = 100
/** Calls in flight in the first half second back, over both workers: a ramp of each operation. */
const AT_ONCE_MAX = 80
/** A minute where the machine does nothing else. */
const DRAINED_MS_MAX = 300_000

/**
 * The gateway fails every call for a minute; then it works again, with a minute's backlog waiting.
 */
export const GATEWAY_DOWN: Scenario = {
  name: 'gateway-down',
  title: 'The gateway fails every call for a minute, and then works again',
  lane: 1,
  perSecond: 60,
  needs: { 'gateway down for a minute': 1, 'charges refused by the gateway': 50 },
  stack: () => ({
    apis: 1,
    workers: 2,
    env: {
      GATEWAY_MAX_ATTEMPTS: '3',
      GATEWAY_BACKOFF_BASE_SECONDS: '1',
      GATEWAY_BACKOFF_MAX_SECONDS: '30',
      WORKER_CONCURRENCY: '256',
      WORKER_BATCH: '256',
      QUEUE_AGE_LIMIT_SECONDS: '0',
    },
  }),
  async run({ stack, wait, fired, add, healed, until, expect }) {
    await wait(3_000)
    await stack.turnGateway({ error_before: 1, error_after: 0, timeout_after: 0, reset_after: 0 })
    fired('gateway down for a minute')
    const downAt = new Date()
    await wait(DOWN_MS)
    const upAt = new Date()
    await stack.turnGateway({ error_before: 0 })
    healed('gateway works')
    const drained = await until(DRAINED_MS_MAX, async () => (await dueTasks(stack)) === 0)
    const seconds = Math.ceil((Date.now() - upAt.getTime()) / 1_000)

    const noticedAt = new Date(downAt.getTime() + NOTICED_MS)
    const early = await charges(stack, downAt, noticedAt)
    const open = await charges(stack, noticedAt, upAt)
    add('charges refused by the gateway', early + open)
    const many = open > CALLS_MAX ? [`${open} calls`] : []
    expect(check('While the breaker is open only probes are made', many, `${open} calls in 55 s`))
    const burned = await unfinished(stack, upAt)
    const lost = burned > BURNED_MAX ? [`${burned} payments`] : []
    expect(check('The outage burns the attempts of few payments', lost, `${burned} of them`))
    const peak = await atOnce(stack, upAt)
    const stampede = peak > AT_ONCE_MAX ? [`${peak} calls`] : []
    expect(check('The backlog comes back as a ramp', stampede, `${peak} calls at once at first`))
    const stuck = drained ? [] : [`${await dueTasks(stack)} tasks are due`]
    const after = `no task was due after ${seconds} s`
    expect(check('The backlog drains while as many payments come in as before', stuck, after))
  },
}

async function dueTasks({ query }: Stack): Promise<number> {
  const [row] = await query<{ count: number }>(`
    select count(*)::int as count from payment_tasks
    where lookups = 0 and run_at < now() - interval '1 second'`)
  return row?.count ?? 0
}

async function charges({ query }: Stack, from: Date, to: Date): Promise<number> {
  const [row] = await query<{ count: number }>(`
    select count(*)::int as count from payment_attempts
    where kind = 'charge' and call > 0
      and started_at between '${from.toISOString()}' and '${to.toISOString()}'`)
  return row?.count ?? 0
}

/** Payments from before the gateway came back that did not end in success. */
async function unfinished({ query }: Stack, until: Date): Promise<number> {
  const [row] = await query<{ count: number }>(`
    select count(*)::int as count from payments
    where status in ('unknown', 'failed') and attempts > 0
      and created_at < '${until.toISOString()}'`)
  return row?.count ?? 0
}

/** The most calls in flight together in the half second after the first success. */
async function atOnce({ query }: Stack, from: Date): Promise<number> {
  const calls = await query<{ start: number; end: number }>(`
    with back as (
      select min(started_at) as at from payment_attempts
      where outcome = 'success' and started_at > '${from.toISOString()}'
    )
    select
      extract(epoch from started_at)::float8 * 1000 as start,
      extract(epoch from started_at)::float8 * 1000 + took_ms as end
    from payment_attempts, back
    where call > 0 and started_at between at and at + interval '500 milliseconds'`)
  const peaks = calls.map(
    (one) => calls.filter((other) => other.start <= one.start && one.start < other.end).length,
  )
  return Math.max(0, ...peaks)
}
