import assert from 'node:assert/strict'
import type { Promises } from '../src/domain/charge-decision.ts'
import { books, POLICY, type TestWorld } from './harness.ts'

export const BLIND: Promises = {
  repeats: 'first_answer',
  keyLifeMs: 3_600_000,
  lookup: 'none',
}

/** Longer than any backoff of the policy. */
export const BACKOFF_MS = POLICY.backoffMaxMs + POLICY.jitterMs

export async function pay(world: TestWorld, type: 'deposit' | 'withdraw', userId?: bigint) {
  const user = userId ?? (await world.user(10_000n))
  const draft = { type, userId: user, amount: 1_000n, idempotencyKey: null }
  const [answer] = await world.accept([draft])
  assert.ok(answer?.kind === 'accepted', 'answer?.kind === accepted')
  return answer.payment.id
}

export interface Letter {
  readonly class: string
  readonly error: string
  readonly state: string
}

export const letters = (world: TestWorld) =>
  world.sql<Letter>('select class, error, state from dead_letters order by id')

/** Every call kept as evidence, in words. */
export async function evidence(world: TestWorld): Promise<string[]> {
  const rows = await world.sql<{ line: string }>(`
    select concat_ws(' ', fence || '.' || call, kind, outcome, reason,
      case when late then 'late' end)
      as line
    from payment_attempts
    order by payment_id, fence, call`)
  return rows.map(({ line }) => line)
}

export const tasks = (world: TestWorld) =>
  world.sql<{ attempts: number; lookups: number; leased: boolean; fence: number }>(
    'select attempts, lookups, leased, fence from payment_tasks order by payment_id',
  )

/** The balances, which always equal the sums of the postings. */
export async function money(world: TestWorld): Promise<Record<string, bigint | undefined>> {
  const sums = await books(world)
  assert.equal(sums['user'], sums['available_stored'])
  assert.equal(sums['held'], sums['held_stored'])
  const { user, held, gateway, fees } = sums
  return { user, held, gateway, fees }
}

export const UNTOUCHED = { user: 10_000n, held: 0n, gateway: 0n, fees: 0n }

export const HELD = { user: 8_980n, held: 1_020n, gateway: 0n, fees: 0n }

export const WITHDRAWN = { user: 8_980n, held: 0n, gateway: 1_000n, fees: 20n }

/** Work until nothing is due within a backoff any more, at most as often as the policy allows. */
export async function exhaust(world: TestWorld): Promise<void> {
  for (let attempt = 0; attempt < POLICY.attemptsMax; attempt += 1) {
    await world.work()
    world.clock.advance(BACKOFF_MS)
  }
}
