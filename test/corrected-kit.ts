import assert from 'node:assert/strict'
import { correct, type CorrectRequest } from '../src/dead-letters/correct.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import type { TestWorld } from './harness.ts'
import { JANE, lost, openLetter } from './operators.ts'
import { untilFree } from './refunds-kit.ts'

/** Under which a payment is found at its gateway. */
export const REF = 'gw-4711'

/** A payment that the gateway executed, and that an operator has failed all the same. */
export async function failedByMistake(world: TestWorld, type: 'deposit' | 'withdraw') {
  const id = await lost(world, type)
  const letterId = await openLetter(world, id)
  const word = { letterId, outcome: 'failed', gatewayRef: null } as const
  assert.equal((await resolve(world.world, JANE, [word]))[0]?.kind, 'resolved')
  return { id, letterId }
}

/** What it comes to when somebody corrects it. */
export async function corrected(world: TestWorld, request: CorrectRequest) {
  const [answer] = await untilFree(() => correct(world.world, JANE, [request]))
  assert.ok(answer !== undefined)
  return answer.kind === 'refused' ? answer.refusal.code : answer.kind
}

/** What corrections have moved. */
export const lates = (world: TestWorld) =>
  world.sql<Record<string, bigint>>(
    `select payment_id as id, user_available as user, gateway, fees, losses from postings
     where kind = 'settle_late' order by payment_id`,
  )
