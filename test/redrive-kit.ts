import type { RedriveFilter } from '../src/dead-letters/store.ts'
import { type TestWorld } from './harness.ts'
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
