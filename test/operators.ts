import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import pg from 'pg'
import pino from 'pino'
import { deadLetterRoutes } from '../src/dead-letters/routes.ts'
import { runRoutes } from '../src/runs/routes.ts'
import type { DeadLetter } from '../src/dead-letters/store.ts'
import type { Operator } from '../src/domain/operator.ts'
import { systemClock } from '../src/adapters/clock.ts'
import { openGuards } from '../src/http/auth.ts'
import { buildServer } from '../src/http/server.ts'
import { viewPayments } from '../src/payments/read.ts'
import { refresh } from '../src/charging/refresh.ts'
import { paymentRoutes } from '../src/payments/routes.ts'
import { timeline } from '../src/timeline/timeline.ts'
import { timelineRoutes } from '../src/timeline/routes.ts'
import { books, type TestWorld } from './harness.ts'
import { until } from './process-kit.ts'

/** Who acts in the tests. */
export const JANE: Operator = { actor: 'jane', reason: 'seen', requestId: 'r1', redriveId: null }

/** Open payments of a user who can afford them all, 50.00 each. */
export async function accepted(
  world: TestWorld,
  type: 'deposit' | 'withdraw',
  count = 1,
): Promise<bigint[]> {
  const userId = await world.user(5_100n * BigInt(count))
  const draft = { type, userId, amount: 5_000n, idempotencyKey: null } as const
  const answers = await world.accept(Array.from({ length: count }, () => ({ ...draft })))
  return answers.map((answer) => {
    assert(answer.kind === 'accepted')
    return answer.payment.id
  })
}

/** Work until every attempt is used up. */
export async function exhaust(world: TestWorld, rounds = 4): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    await world.work()
    world.clock.advance(4_500)
  }
}

/** A payment that was charged, whose replies and lookups were all lost. */
export async function lost(world: TestWorld, type: 'deposit' | 'withdraw'): Promise<bigint> {
  world.gateway.script = ['lost_reply']
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  const [id] = await accepted(world, type)
  assert(id !== undefined)
  await exhaust(world, 3)
  assert.equal((await world.view(id)).payment.status, 'unknown')
  return id
}

/** Payments that the gateway declined. */
export async function declined(
  world: TestWorld,
  type: 'deposit' | 'withdraw',
  count = 1,
): Promise<bigint[]> {
  world.gateway.script = ['declined']
  const ids = await accepted(world, type, count)
  await world.work()
  return ids
}

/** The letters of a payment, oldest first. */
export function letters(world: TestWorld, paymentId: bigint): Promise<DeadLetter[]> {
  return world.sql<DeadLetter>(
    'select id, state, class, error, closed_by as "closedBy" from dead_letters ' +
      'where payment_id = $1 order by id',
    [paymentId],
  )
}

/** The open letter of a payment. */
export async function openLetter(world: TestWorld, paymentId: bigint): Promise<bigint> {
  const open = (await letters(world, paymentId)).find(({ state }) => state === 'open')
  assert(open !== undefined, 'there is an open letter')
  return open.id
}

/**
 * Check that the postings balance, that stored balances equal them, and that nothing is negative.
 */
export async function assertBooks(world: TestWorld): Promise<Record<string, bigint>> {
  const sums = await books(world)
  const { user = 0n, held = 0n, gateway = 0n, fees = 0n, opening = 0n } = sums
  assert.equal(user + held + gateway + fees + opening, 0n)
  assert.equal(user, sums['available_stored'])
  assert.equal(held, sums['held_stored'])
  // What is held is exactly what open withdrawals cost.
  const [open] = await world.sql<{ cost: bigint }>(
    `select coalesce(sum(amount + commission), 0)::bigint as cost
     from payments where type = 'withdraw' and status in ('new', 'unknown')`,
  )
  assert.equal(held, open?.cost)
  return sums
}

/** The column by which rows of a table are locked. */
const KEY_OF = {
  users: 'id',
  payments: 'id',
  dead_letters: 'id',
  payment_details: 'payment_id',
  payment_tasks: 'payment_id',
  deliveries: 'event_id',
  events: 'id',
} as const

/** Somebody else, such as an operator at a prompt, who locks rows for as long as they like. */
export async function somebodyElse(t: TestContext, world: TestWorld) {
  const client = new pg.Client({ connectionString: world.url })
  // The database may be dropped before this ends.
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end())
  return {
    async lock(table: keyof typeof KEY_OF, id: bigint) {
      const column = KEY_OF[table]
      await client.query('begin')
      await client.query(`select from ${table} where ${column} = $1 for update`, [id])
    },
    async lockAll(table: 'payment_counts') {
      await client.query('begin')
      await client.query(`select from ${table} for update`)
    },
    release: () => client.query('commit'),
  }
}

/** Resolves when some session waits for a lock of another one. */
export async function someoneWaits(world: TestWorld): Promise<void> {
  await until('somebody waits for a lock', async () => {
    const waiting = await world.sql(`
      select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`)
    return waiting.length > 0
  })
}

/** The routes of payments and dead letters over a test world. */
export async function server(t: TestContext, world: TestWorld): Promise<FastifyInstance> {
  const app = await buildServer({
    logger: pino({ level: 'silent' }),
    bodyBytesMax: 65_536,
    version: '0',
    title: 'Payments',
    documented: true,
    guards: openGuards(systemClock),
    connections: { max: 1_000, elapsedMs: systemClock.elapsedMs },
    onAnswer: () => undefined,
  })
  const { world: charging } = world
  await app.register(
    paymentRoutes({
      books: 2,
      accept: () => Promise.reject(new Error('not here')),
      read: async (id) => (await viewPayments(charging.db, [id]))[0] ?? null,
      page: () => Promise.resolve({ views: [], next: null, missing: [] }),
      final: () => Promise.resolve(),
      refresh: async (id) => void (await refresh(charging, id)),
    }),
  )
  await app.register(timelineRoutes({ read: (id) => timeline(charging, id) }))
  await app.register(deadLetterRoutes({ ...charging, reads: charging.db }))
  await app.register(runRoutes(charging))
  t.after(() => app.close())
  return app
}
