import pg from 'pg'
import { ask, openUser, type Entry } from './load.ts'
import type { Scenario, Stage } from './scenario.ts'
import { accepts, noSlower, type Took } from './slower.ts'
import type { Stack } from './stack.ts'
import { check } from './witnesses.ts'

/**
 * How long the row is locked, and how long others are watched without a lock: before it, and as
 * long again after it. With `--long` as long as somebody may forget a transaction.
 */
const SHORT = { lockedMs: 25_000, freeMs: 12_000 } as const
const LONG = { lockedMs: 60_000, freeMs: 30_000 } as const
/** Payments of the locked user that are being charged when the lock begins. */
const ON_THE_WAY = 20
const ASKED_EVERY_MS = 500

/** Somebody locks one user's row for long; everybody else must hardly notice. */
export const LOCKED_USER: Scenario = {
  name: 'locked-user',
  title:
    "One user's row is locked by somebody else for 25 s (with --long for a minute), under load",
  lane: 'alone',
  perSecond: 100,
  needs: { 'a row locked': 1, 'payments of the locked user': 50 },
  stack: () => ({ apis: 2, workers: 2, gatewayFaults: FAULTLESS }),
  async run(stage) {
    const { stack, wait, fired, healed, expect } = stage
    const { lockedMs: heldMs, freeMs: watchedMs } = stage.long ? LONG : SHORT
    const userId = await openUser(stack.apis[0]?.url ?? '', 100_000)
    const beganMs = performance.now()
    const beganAt = new Date()
    await wait(watchedMs)
    const slowly = { ...FAULTLESS, latency_ms: 700 }
    await stack.turnGateway(slowly)
    await askFor(stage, userId, ON_THE_WAY)
    const somebody = new pg.Client({ connectionString: stack.databaseUrl })
    somebody.on('error', () => undefined)
    await somebody.connect()
    await somebody.query('begin')
    await somebody.query('select from users where id = $1 for update', [userId])
    await stack.turnGateway(FAULTLESS)
    await wait(1_000)
    fired('a row locked')
    const lockedMs = performance.now()
    const lockedAt = new Date()
    const asking: Promise<void>[] = []
    while (performance.now() < lockedMs + heldMs) {
      asking.push(askFor(stage, userId, 1))
      await wait(ASKED_EVERY_MS)
    }
    const freeMs = performance.now()
    const freeAt = new Date()
    await somebody.end()
    healed('the lock is gone')
    await Promise.all(asking)
    const againMs = performance.now()
    const againAt = new Date()
    await wait(watchedMs)

    const others = stage.journal()
    const refused = others.filter(({ answers }) =>
      answers.some(({ status, atMs }) => status === 503 && atMs > lockedMs && atMs < freeMs),
    )
    const keys = refused.map(({ key }) => key)
    expect(check('Nobody else is refused while a user is locked', keys, `${others.length} asked`))
    const now = performance.now()
    const asked = [...accepts(others, beganMs, lockedMs), ...accepts(others, againMs, now)]
    const askedThen = accepts(others, lockedMs, freeMs)
    expect(noSlower('Accepting takes everybody else no longer', asked, askedThen))
    const settled = [
      ...(await settles(stack, userId, beganAt, lockedAt)),
      ...(await settles(stack, userId, againAt, new Date())),
    ]
    const settledThen = await settles(stack, userId, lockedAt, freeAt)
    expect(noSlower('Settling takes everybody else no longer', settled, settledThen))
  },
}

const FAULTLESS = {
  timeout_after: 0,
  error_before: 0,
  error_after: 0,
  reset_after: 0,
  latency_ms: 5,
  latency_jitter_ms: 20,
}

/** Ask for payments of the locked user; what is not answered is asked for again at the end. */
async function askFor({ stack, asked, add }: Stage, userId: number, count: number): Promise<void> {
  const api = stack.apis[asked.length % stack.apis.length]?.url ?? ''
  const entries = Array.from({ length: count }, (_, index): Entry => {
    const key = `locked-${asked.length + index}`
    return { key, type: 'withdraw', userId, amount: 100, answers: [] }
  })
  asked.push(...entries)
  add('payments of the locked user', count)
  await Promise.all(entries.map((entry) => ask(api, entry)))
}

/** How long others' payments took that were made between two moments and are finished. */
async function settles(stack: Stack, userId: number, from: Date, to: Date): Promise<Took[]> {
  return await stack.query<Took>(`
    select extract(epoch from created_at)::float8 * 1000 as "atMs",
      extract(epoch from coalesce(finished_at, now()) - created_at)::float8 * 1000 as ms
    from payments
    where user_id <> ${userId} and last_error is null
      and created_at between '${from.toISOString()}' and '${to.toISOString()}'`)
}
