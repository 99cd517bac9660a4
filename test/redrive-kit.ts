import type { TestContext } from 'node:test'
import type { RedriveFilter } from '../src/dead-letters/store.ts'
import { openUsers } from '../src/users/open.ts'
import { openedId, testWorld, type TestWorld } from './harness.ts'
import { declined, lost } from './operators.ts'

export const ALL: RedriveFilter = {
  class: null,
  error: null,
  type: null,
  userId: null,
  createdBefore: null,
  createdAfter: null,
}

/** Ten declined deposits and one unknown withdrawal. */
export async function badNight(world: TestWorld) {
  const failed = await declined(world, 'deposit', 10)
  world.clock.advance(60_000)
  const unknown = await lost(world, 'withdraw')
  return { failed, unknown }
}

/** A declined deposit of 50.00, and one of 500 of an account in yen, newer. */
export async function jpyNight(t: TestContext) {
  const world = await testWorld(t)
  await declined(world, 'deposit')
  const [opened] = await openUsers(world.db, [{ balance: 0n, currency: 'JPY' }])
  if (opened === undefined) throw new Error('no user')
  const yen = { type: 'deposit', userId: openedId(opened), idempotencyKey: null } as const
  world.clock.advance(1_000)
  world.gateway.script = ['declined']
  await world.accept([{ ...yen, amount: 50_000n }])
  await world.work()
  return { world }
}
