import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claim, type Settlement } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import type { Decision } from '../src/domain/charge-decision.ts'
import { LEASE_MS, testWorld } from './harness.ts'
import { deposit } from './locks-kit.ts'
import { somebodyElse } from './operators.ts'

const later = { delayMs: 900, reason: 'r', doubt: false }
const yes: Decision = { step: 'succeed', gatewayRef: null, twice: false }
const no: Decision = { step: 'fail', reason: 'r' }

/** What becomes of a settlement while somebody else has locked its user. */
const LOCKED: readonly (readonly [
  name: string,
  decision: Decision,
  lost: boolean,
  end: 'busy' | 'written' | 'stale',
])[] = [
  ['a yes', yes, false, 'busy'],
  ['a no', no, false, 'busy'],
  ['a doubt', { ...later, step: 'doubt' }, false, 'busy'],
  ['a retry', { ...later, step: 'retry' }, false, 'written'],
  ['a wait', { ...later, step: 'wait' }, false, 'written'],
  ['what is pending', { ...later, step: 'pending' }, false, 'written'],
  ['what is left', { step: 'leave', delayMs: 900 }, false, 'written'],
  ['what is given back', { step: 'release' }, false, 'written'],
  ['a late yes', yes, true, 'busy'],
  ['a late no', no, true, 'stale'],
  ['a late doubt', { ...later, step: 'doubt' }, true, 'stale'],
]

for (const patient of [true, false]) {
  const how = patient ? 'after a moment' : 'at once'
  test(`of a locked user nothing that may move money is written, and all else is, ${how}`, async (t) => {
    const world = await testWorld(t)
    const userId = await world.user(0n)
    const other = await world.user(0n)
    await world.accept([...LOCKED.map(() => deposit(userId)), deposit(other)])
    const lost = await claim(world.world, 100)
    const byId = new Map(lost.map((one) => [one.payment.id, one]))
    world.clock.advance(LEASE_MS)
    const claims = (await claim(world.world, 100)).toSorted((one, two) =>
      Number(one.payment.id - two.payment.id),
    )
    const settlements = claims.map((own, at): Settlement => {
      const [, decision, isLost] = LOCKED[at] ?? ['', yes, false]
      const claimed = isLost ? byId.get(own.payment.id) : own
      assert.ok(claimed)
      return { claim: claimed, decision, calls: [] }
    })
    const somebody = await somebodyElse(t, world)
    await somebody.lock('users', userId)
    const settled = await settle(world.world, settlements, patient)
    const ends = settlements.slice(0, -1).map((one) => {
      if (settled.busy.includes(one)) return 'busy'
      return settled.settlements.includes(one) ? 'written' : 'stale'
    })
    assert.deepEqual(
      LOCKED.map(([name], at) => [name, ends[at]]),
      LOCKED.map(([name, , , end]) => [name, end]),
    )
    assert.equal(settled.stale, 2)
    assert.ok(settled.settlements.some(({ claim: { payment } }) => payment.userId === other))
    await somebody.release()

    const again = await settle(world.world, settled.busy, patient)
    assert.deepEqual([again.busy, again.stale], [[], 0])
    const statuses = await world.sql<{ status: string }>('select status from payments order by id')
    assert.deepEqual(
      statuses.map(({ status }) => status).join(' '),
      'success failed unknown new new new new new success new new success',
    )
  })
}
