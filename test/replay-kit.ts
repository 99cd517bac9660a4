import assert from 'node:assert/strict'
import { planReplay, type ReplayRequest } from '../src/runs/events.ts'
import type { Bounds } from '../src/runs/matching.ts'
import { step } from '../src/runs/run.ts'
import { readEndpoint } from '../src/webhooks/store.ts'
import type { TestWorld } from './harness.ts'

export const ANY: ReplayRequest = {
  types: null,
  undelivered: false,
  createdAfter: null,
  createdBefore: null,
}
export const START = { actor: 'joe', reason: 'lost', requestId: 'r', ratePerSecond: 500 }
export const UNSENT = { ...ANY, undelivered: true }

export async function found(
  world: TestWorld,
  endpointId: bigint,
  asked: Partial<ReplayRequest & { readonly bounds: Bounds }> = {},
) {
  const endpoint = await readEndpoint(world.db.global, endpointId)
  assert.ok(endpoint !== null)
  return planReplay(world.db, endpoint, { ...ANY, ...asked }, 'jane')
}

/** Take the steps of all runs until none is due any more. */
export async function carriedOut(world: TestWorld): Promise<void> {
  for (let steps = 0; steps < 50; steps += 1) {
    await step(world.world, null)
    world.clock.advance(1_000)
  }
}

export async function delivered(turn: () => Promise<number>): Promise<void> {
  while ((await turn()) > 0) continue
}
