import type { PaymentDraft } from '../src/domain/acceptance.ts'
import { seededRandom } from '../src/domain/random.ts'
import type { Db, Tx } from '../src/ports.ts'
import { verify, type VerifyOptions } from '../src/verify/verify.ts'
import type { Report } from '../src/verify/report.ts'
import { ONE_SNAPSHOT } from '../src/verify/snapshot-store.ts'
import { claim } from '../src/charging/charge.ts'
import type { Script, TestWorld } from './harness.ts'
import { withShards } from '../src/each-shard.ts'
import { raw } from './harness.ts'

const SCRIPTS: readonly Script[] = [
  'success',
  'success',
  'success',
  'declined',
  'lost_reply',
  'in_doubt',
  'not_executed',
]

/** Random drafts of a few users: large ones are refused, keys are sometimes used again. */
export function randomDrafts(
  random: () => number,
  users: readonly bigint[],
  count: number,
): PaymentDraft[] {
  return Array.from({ length: count }, () => ({
    type: random() < 0.5 ? 'deposit' : 'withdraw',
    userId: users[Math.floor(random() * users.length)] ?? 1n,
    amount: BigInt(1 + Math.floor(random() * (random() < 0.1 ? 900_000 : 3_000))),
    idempotencyKey: random() < 0.5 ? `key-${Math.floor(random() * 500)}` : null,
  }))
}

/**
 * A busy history from a seed: deposits and withdrawals that succeed, fail, are refused, get lost
 * and become unknown, and some that are left new, waiting, leased and lost when it ends.
 */
export async function busyHistory(world: TestWorld, seed: number, steps = 12): Promise<bigint[]> {
  const random = seededRandom(seed)
  const users: bigint[] = []
  for (const balance of [0n, 5_000n, 50_000n, 1_000_000n]) users.push(await world.user(balance))
  for (let step = 0; step < steps; step += 1) {
    world.gateway.script = Array.from(
      { length: 40 },
      () => SCRIPTS[Math.floor(random() * SCRIPTS.length)] ?? 'success',
    )
    world.gateway.lookups = random() < 0.4 ? { kind: 'no_answer', reason: 'timeout' } : null
    await world.accept(randomDrafts(random, users, 20))
    if (random() < 0.2) await claim(world.world, 3)
    await world.work()
    world.clock.advance(Math.floor(random() * 20_000))
  }
  world.gateway.script = ['success', 'in_doubt']
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  // Nobody can look: what is in doubt becomes unknown.
  for (let step = 0; step < 4; step += 1) {
    world.clock.advance(40_000)
    await world.work()
  }
  await world.accept(randomDrafts(random, users, 20))
  await claim(world.world, 5)
  return users
}

/** Verify a test world's books. */
export function verifyWorld(world: TestWorld, options: VerifyOptions = {}): Promise<Report> {
  const { db, clock } = world
  return verify({ db, clock }, options)
}

/** The violated rules, in the order of their names. */
export function violated(report: Report): string[] {
  return report.rules
    .filter(({ violations }) => violations > 0)
    .map(({ rule }) => rule)
    .toSorted()
}

const GRANT = 'grant update, delete on postings, payment_attempts to current_user'

/**
 * What rolls a transaction back; it looks like an error of PostgreSQL, which keeps the connection.
 */
const UNDO = Object.assign(new Error('undo'), { code: 'P0001' })

/**
 * Do something to the books, look at them, and undo it. Sequences too, if they are only altered.
 */
export async function tryOut<Value>(
  world: TestWorld,
  statements: readonly string[],
  look: (db: Db) => Promise<Value>,
): Promise<Value> {
  const values: Value[] = []
  const trying = world.db.of(0n).transaction(async (tx) => {
    // The owner may not change these either, but may give itself the right.
    await tx.run(raw(GRANT), [])
    for (const text of statements) await tx.run(raw(text), [])
    // Nobody else is here, so every statement sees the same books; it is too late to ask for it.
    const withinIt: Tx['run'] = (statement, parameters) =>
      statement.name === ONE_SNAPSHOT.name ? Promise.resolve([]) : tx.run(statement, parameters)
    const inside: Db = {
      ...withShards(world.db, (shard) => ({
        ...shard,
        run: (statement, parameters) => tx.run(statement, parameters),
        transaction: (work) => work({ ...tx, run: withinIt }),
      })),
      global: { run: (statement, parameters) => tx.run(statement, parameters) },
    }
    values.push(await look(inside))
    throw UNDO
  })
  await trying.catch((error: unknown) => {
    if (error !== UNDO) throw error
  })
  return values[0] as Value // Pushed, or it would have thrown.
}
