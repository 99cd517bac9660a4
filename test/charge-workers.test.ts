import assert from 'node:assert/strict'
import { test } from 'node:test'
import { charge, claim, type Settlement } from '../src/charging/charge.ts'
import { LEASE_MS, POLICY, testWorld } from './harness.ts'
import {
  BACKOFF_MS,
  pay,
  letters,
  evidence,
  tasks,
  money,
  UNTOUCHED,
  HELD,
  WITHDRAWN,
} from './charge-kit.ts'

test('a claimed payment is shown as being processed, until its lease ends', async (t) => {
  const world = await testWorld(t)
  const id = await pay(world, 'deposit')
  await claim(world.world, 10)
  assert.equal((await world.view(id)).status, 'processing')
  world.clock.advance(LEASE_MS)
  assert.equal((await world.view(id)).status, 'new')
})

test('a lost worker is replaced when its lease ends, and its attempt is kept as in doubt', async (t) => {
  const world = await testWorld(t)
  const id = await pay(world, 'withdraw')
  const lost = await world.claimAndCharge()
  assert.equal(lost.length, 1)
  world.clock.advance(LEASE_MS - 1)
  assert.equal((await world.work()).length, 0)
  world.clock.advance(1)
  assert.equal((await world.work()).length, 1)

  assert.deepEqual(await evidence(world), ['1.0 charge in_doubt worker_lost', '2.1 lookup success'])
  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual([...world.gateway.charged.values()], [[1_000n]])
  assert.deepEqual(await money(world), WITHDRAWN)
})

test('a worker that comes back too late changes nothing, and what it saw is kept', async (t) => {
  const world = await testWorld(t, { script: ['declined', 'not_executed'] })
  const id = await pay(world, 'withdraw')
  const late = await world.claimAndCharge()
  world.gateway.declined.clear()
  world.clock.advance(LEASE_MS)
  await world.work()
  const before = await tasks(world)

  assert.deepEqual(await world.settle(late), { settlements: [], stale: 1, busy: [], failed: [] })
  assert.equal((await world.view(id)).status, 'new')
  assert.deepEqual(await tasks(world), before)
  assert.deepEqual(await money(world), HELD)
  assert.deepEqual((await evidence(world)).slice(0, 2), [
    '1.0 charge in_doubt worker_lost',
    '1.1 charge declined http_402 late',
  ])
})

test('a worker that comes back while its successor works changes nothing', async (t) => {
  const world = await testWorld(t, { script: ['declined', 'success'] })
  const id = await pay(world, 'withdraw')
  const late = await world.claimAndCharge()
  world.gateway.declined.clear()
  world.clock.advance(LEASE_MS)
  const successor = await world.claimAndCharge()

  assert.equal((await world.settle(late)).stale, 1)
  assert.equal((await world.view(id)).status, 'processing')
  assert.deepEqual(await money(world), HELD)
  assert.equal((await world.settle(successor)).stale, 0)
  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(await money(world), WITHDRAWN)
})

test('a worker that is late but was not replaced still settles', async (t) => {
  const world = await testWorld(t)
  const id = await pay(world, 'withdraw')
  const late = await world.claimAndCharge()
  world.clock.advance(10 * LEASE_MS)
  assert.equal((await world.settle(late)).stale, 0)
  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(await money(world), WITHDRAWN)
})

for (const step of ['success', 'declined', 'not_executed', 'in_doubt'] as const) {
  test(`settling ${step} twice changes nothing the second time`, async (t) => {
    const world = await testWorld(t, { script: [step] })
    await pay(world, 'withdraw')
    const settlements = await world.claimAndCharge()
    assert.equal((await world.settle(settlements)).stale, 0)
    const state = async () => [
      await money(world),
      await tasks(world),
      await letters(world),
      await evidence(world),
      await world.sql('select * from payments'),
      await world.sql('select * from payment_tasks'),
    ]
    const before = await state()
    assert.equal((await world.settle(settlements)).stale, 1)
    assert.deepEqual(await state(), before)
  })
}

const ORDERS: readonly (readonly [string, (both: Settlement[]) => Settlement[]])[] = [
  ['', (both) => both],
  [', the successor first,', (both) => both.toReversed()],
]

for (const [how, order] of ORDERS) {
  test(`a claim and its successor that are settled in one batch${how} move money once`, async (t) => {
    const world = await testWorld(t, { script: ['declined', 'success'] })
    const user = await world.user(10_000n)
    await pay(world, 'withdraw', user)
    const first = await world.claimAndCharge()
    world.gateway.declined.clear()
    world.clock.advance(LEASE_MS)
    world.gateway.lookups = { kind: 'no_answer', reason: 'http_500' }
    const second = await world.claimAndCharge()
    // Another hold of the user's, so that the check on what is held notices nothing.
    await pay(world, 'withdraw', user)

    const { stale } = await world.settle(order([...first, ...second]))
    assert.deepEqual(await money(world), { user: 7_960n, held: 1_020n, gateway: 1_000n, fees: 20n })
    assert.equal(stale, 1)
    const late = await world.sql('select distinct fence from payment_attempts where late')
    assert.deepEqual(late, [{ fence: 1 }])
    const kinds = await world.sql('select kind from postings where payment_id = 1 order by kind')
    assert.deepEqual(kinds, [{ kind: 'hold' }, { kind: 'settle' }])
  })
}

test('a claim that is given back before its first call is not counted and is due at once', async (t) => {
  const world = await testWorld(t)
  const id = await pay(world, 'withdraw')
  for (let round = 1; round <= 10; round += 1) {
    const claims = await claim(world.world, 10)
    const aborted = AbortSignal.abort()
    const settlements = await Promise.all(claims.map((one) => charge(world.world, one, aborted)))
    assert.deepEqual(settlements[0]?.decision, { step: 'release' })
    await world.settle(settlements)
    assert.deepEqual(await tasks(world), [{ attempts: 0, lookups: 0, leased: false, fence: round }])
  }
  assert.deepEqual(world.gateway.calls, [])
  await world.work()
  assert.equal((await world.view(id)).attempts, 1)
})

test('a claim that is stopped between two calls is due at once, and its doubt is kept', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'in_doubt', 'lost_reply'] })
  const id = await pay(world, 'withdraw')
  for (let attempt = 1; attempt < POLICY.attemptsMax; attempt += 1) {
    await world.work()
    world.clock.advance(BACKOFF_MS)
  }
  const stopping = new AbortController()
  const gateway = {
    ...world.gateway,
    execute: (...args: Parameters<typeof world.gateway.execute>) => {
      stopping.abort()
      return world.gateway.execute(...args)
    },
  }
  const claims = await claim(world.world, 10)
  const settlements = await Promise.all(
    claims.map((one) => charge({ ...world.world, gateway }, one, stopping.signal)),
  )
  assert.deepEqual(settlements[0]?.decision, {
    step: 'retry',
    delayMs: 0,
    reason: 'interrupted',
    doubt: true,
  })
  await world.settle(settlements)
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'charge').length, 3)
})

test('no call begins when it could outlive the lease', async (t) => {
  const world = await testWorld(t)
  await pay(world, 'withdraw')
  const claims = await claim(world.world, 10)
  world.clock.advance(LEASE_MS - world.world.callMsMax + 1)
  const settlements = await Promise.all(claims.map((one) => charge(world.world, one)))
  assert.deepEqual(settlements[0]?.decision, { step: 'release' })
  assert.deepEqual(world.gateway.calls, [])
})

test('a yes that arrives after the payment has failed opens a letter for a person to read', async (t) => {
  const world = await testWorld(t, { script: ['success', 'declined'] })
  const id = await pay(world, 'withdraw')
  const late = await world.claimAndCharge()
  world.gateway.lookups = { kind: 'declined', reason: 'status_failed' }
  world.clock.advance(LEASE_MS)
  await world.work()
  assert.equal((await world.view(id)).status, 'failed')

  assert.equal((await world.settle(late)).stale, 1)
  assert.equal((await world.view(id)).status, 'failed')
  assert.deepEqual(await money(world), UNTOUCHED)
  const open = (await letters(world)).filter(({ state }) => state === 'open')
  assert.ok(
    open.some(({ class: kind, error }) => kind === 'unknown' && error === 'charged_after_failed'),
    JSON.stringify(open),
  )
})

test('due tasks are claimed oldest first, and no more than asked for', async (t) => {
  const world = await testWorld(t)
  const ids: bigint[] = []
  for (let index = 0; index < 5; index += 1) {
    ids.push(await pay(world, 'deposit'))
    world.clock.advance(1)
  }
  const claimed = async (limit: number) =>
    (await claim(world.world, limit)).map(({ payment }) => payment.id).toSorted()
  assert.deepEqual(await claimed(2), ids.slice(0, 2))
  assert.deepEqual(await claimed(2), ids.slice(2, 4))
  assert.deepEqual(await claimed(2), ids.slice(4))
  assert.deepEqual(await claimed(2), [])
})

test('workers that claim at the same time never get the same task', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const drafts = Array.from({ length: 300 }, () => ({
    type: 'deposit' as const,
    userId: user,
    amount: 100n,
    idempotencyKey: null,
  }))
  await world.accept(drafts)
  const workers = Array.from({ length: 4 }, () => ({ ...world.world, db: world.connect(2) }))
  const claims = await Promise.all(
    Array.from({ length: 40 }, (_, index) => claim(workers[index % 4] ?? world.world, 10)),
  )
  const ids = claims.flat().map(({ payment }) => payment.id)
  assert.equal(new Set(ids).size, ids.length)
  for (;;) {
    const rest = await claim(world.world, 100)
    if (rest.length === 0) break
    ids.push(...rest.map(({ payment }) => payment.id))
  }
  assert.equal(new Set(ids).size, 300)
  assert.equal(ids.length, 300)
})
