import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PaymentDraft } from '../src/domain/acceptance.ts'
import type { Accept } from '../src/payments/accept.ts'
import { acceptingInShard } from '../src/payments/accepting.ts'
import type { Settlement } from '../src/charging/charge.ts'
import { refresh } from '../src/charging/refresh.ts'
import { settle } from '../src/charging/settle.ts'
import { sideLane } from '../src/payments/side-lane.ts'
import { CommitUnknown, Unavailable } from '../src/ports.ts'
import { withShards } from '../src/each-shard.ts'
import { testWorld } from './harness.ts'
import { accepted, assertBooks, exhaust, letters, lost, somebodyElse } from './operators.ts'

// What becomes of a word about a payment whose user somebody else has locked.

const BLIND = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'none' } as const

test('a late yes waits for its user, of whom it has no task, and takes no neighbour along', async (t) => {
  const world = await testWorld(t, { profile: BLIND })
  const [id = 0n] = await accepted(world, 'withdraw')
  const late = await world.claimAndCharge()
  assert.equal(late[0]?.decision.step, 'succeed')
  // Its successors never hear of it, and the payment leaves the queue.
  world.gateway.script = ['in_doubt']
  world.clock.advance(15_000)
  await exhaust(world)
  assert.equal((await world.view(id)).status, 'unknown')
  assert.deepEqual(await world.sql('select * from payment_tasks'), [])

  world.gateway.script = ['success']
  const [neighbour = 0n] = await accepted(world, 'deposit')
  const other = await somebodyElse(t, world)
  await other.lock('users', (await world.view(id)).payment.userId)
  const { busy } = await settle(world.world, [...late, ...(await world.claimAndCharge())])
  assert.deepEqual(busy, late)
  assert.equal((await world.view(neighbour)).status, 'success')
  assert.equal((await world.view(id)).status, 'unknown')

  await other.release()
  assert.deepEqual((await settle(world.world, busy)).busy, [])
  assert.equal((await world.view(id)).status, 'success')
  assert.equal((await letters(world, id))[0]?.state, 'resolved')
  await assertBooks(world)
})

test('what the gateway says out of turn is kept for as long as its user is locked', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  world.gateway.lookups = null
  const other = await somebodyElse(t, world)
  await other.lock('users', (await world.view(id)).payment.userId)

  const kept: Settlement[] = []
  const settled = await refresh(world.world, id, (settlement) => kept.push(settlement))
  assert.deepEqual(settled?.settlements, [])
  assert.deepEqual(
    kept.map(({ decision }) => decision.step),
    ['succeed'],
  )
  assert.equal((await world.view(id)).payment.status, 'unknown')

  await other.release()
  await settle(world.world, kept)
  assert.equal((await world.view(id)).status, 'success')
  await assertBooks(world)
})

test('what the gateway says out of turn is kept when the database goes away', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  world.gateway.lookups = null
  const gone = () => Promise.reject(new Unavailable('gone'))
  const db = withShards(world.db, (shard) => ({ ...shard, transaction: gone }))
  const away = { ...world.world, db }

  const kept: Settlement[] = []
  await assert.rejects(
    refresh(away, id, (settlement) => kept.push(settlement)),
    Unavailable,
  )
  assert.equal((await world.view(id)).payment.status, 'unknown')
  await settle(world.world, kept)
  assert.equal((await world.view(id)).status, 'success')
  await assertBooks(world)
})

test('a draft that waits aside for its user is answered by what becomes of it, not of its batch', async (t) => {
  const world = await testWorld(t)
  const [locked, free] = [await world.user(100_000n), await world.user(100_000n)]
  const other = await somebodyElse(t, world)
  await other.lock('users', locked)
  // The batch is committed, and the reply to its COMMIT is lost.
  const accept: Accept = async (drafts, onDecided, patience) => {
    const answers = await world.accept(drafts, onDecided, patience)
    if (patience?.onBusy !== undefined) throw new CommitUnknown('lost')
    return answers
  }
  const { submit } = acceptingInShard(accept, world.clock, {
    sizeMax: 500,
    waitingMax: 1_000,
    sideBySide: 1,
    lockMsMax: 3_000,
  })
  const withdraw = (userId: bigint): PaymentDraft => {
    return { type: 'withdraw', userId, amount: 100n, idempotencyKey: null }
  }
  const [aside, own] = [submit(withdraw(locked)), submit(withdraw(free))]
  await assert.rejects(own, CommitUnknown)

  await other.release()
  assert.equal((await aside).kind, 'accepted')
  const made = await world.sql('select user_id from payments order by user_id')
  assert.deepEqual(made, [{ user_id: locked }, { user_id: free }])
})

test('nobody who waits aside is refused untried, however long the process stood still', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(100_000n)
  const { add } = sideLane({
    accept: (drafts, lockMs) => world.accept(drafts, undefined, { lockMs }),
    clock: world.clock,
    waitMsMax: 3_000,
    waitingMax: 1_000,
    sizeMax: 500,
  })
  const draft: PaymentDraft = { type: 'withdraw', userId, amount: 100n, idempotencyKey: null }
  const answers = [add(draft), add(draft)]
  world.clock.advance(60_000)
  for (const answer of answers) assert.equal((await answer).kind, 'accepted')
})
