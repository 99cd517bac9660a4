import assert from 'node:assert/strict'
import { test } from 'node:test'
import { charge, claim, type Settlement } from '../src/charging/charge.ts'
import type { GatewayProfile } from '../src/ports.ts'
import { books, LEASE_MS, POLICY, testWorld, type TestWorld } from './harness.ts'

const BLIND: GatewayProfile = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'none' }
const EVENTUAL: GatewayProfile = {
  repeats: 'first_answer',
  keyLifeMs: 3_600_000,
  lookup: 'eventual',
}
const ODD: GatewayProfile = {
  repeats: 'may_execute_again',
  keyLifeMs: 3_600_000,
  lookup: 'consistent',
}

/** Longer than any backoff of the policy. */
const BACKOFF_MS = POLICY.backoffMaxMs + POLICY.jitterMs

async function pay(world: TestWorld, type: 'deposit' | 'withdraw', userId?: bigint) {
  const user = userId ?? (await world.user(10_000n))
  const draft = { type, userId: user, amount: 1_000n, idempotencyKey: null }
  const [answer] = await world.accept([draft])
  assert.ok(answer?.kind === 'accepted', 'answer?.kind === accepted')
  return answer.payment.id
}

interface Letter {
  readonly class: string
  readonly error: string
  readonly state: string
}

const letters = (world: TestWorld) =>
  world.sql<Letter>('select class, error, state from dead_letters order by id')

/** Every call kept as evidence, in words. */
async function evidence(world: TestWorld): Promise<string[]> {
  const rows = await world.sql<{ line: string }>(`
    select concat_ws(' ', fence || '.' || call, kind, outcome, reason, case when late then 'late' end)
      as line
    from payment_attempts
    order by payment_id, fence, call`)
  return rows.map(({ line }) => line)
}

const tasks = (world: TestWorld) =>
  world.sql<{ attempts: number; lookups: number; leased: boolean; fence: number }>(
    'select attempts, lookups, leased, fence from payment_tasks order by payment_id',
  )

/** The balances, which always equal the sums of the postings. */
async function money(world: TestWorld): Promise<Record<string, bigint | undefined>> {
  const sums = await books(world)
  assert.equal(sums['user'], sums['available_stored'])
  assert.equal(sums['held'], sums['held_stored'])
  const { user, held, gateway, fees } = sums
  return { user, held, gateway, fees }
}

const UNTOUCHED = { user: 10_000n, held: 0n, gateway: 0n, fees: 0n }
const DEPOSITED = { user: 10_980n, held: 0n, gateway: -1_000n, fees: 20n }
const HELD = { user: 8_980n, held: 1_020n, gateway: 0n, fees: 0n }
const WITHDRAWN = { user: 8_980n, held: 0n, gateway: 1_000n, fees: 20n }

/** Work until nothing is due within a backoff any more, at most as often as the policy allows. */
async function exhaust(world: TestWorld): Promise<void> {
  for (let attempt = 0; attempt < POLICY.attemptsMax; attempt += 1) {
    await world.work()
    world.clock.advance(BACKOFF_MS)
  }
}

test('a deposit that the gateway executes is booked: the user, the gateway and the fees', async (t) => {
  const world = await testWorld(t)
  const id = await pay(world, 'deposit')
  assert.equal((await world.work()).length, 1)

  const view = await world.view(id)
  assert.deepEqual([view.status, view.attempts, view.lastError], ['success', 1, null])
  assert.equal(view.payment.gatewayRef, `gw-${id}`)
  assert.deepEqual(await money(world), DEPOSITED)
  assert.deepEqual(await tasks(world), [])
  assert.deepEqual(await letters(world), [])
})

test('a withdrawal that the gateway executes spends its hold', async (t) => {
  const world = await testWorld(t)
  const id = await pay(world, 'withdraw')
  assert.deepEqual(await money(world), HELD)
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(await money(world), WITHDRAWN)
})

test('a payment is charged under one key for its whole life, and no other payment has it', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'in_doubt', 'success'] })
  await pay(world, 'deposit')
  await exhaust(world)
  await pay(world, 'deposit')
  await world.work()
  const keys = world.gateway.calls.map(({ key, paymentId }) => `${paymentId} ${key}`)
  assert.equal(new Set(keys).size, 2)
  assert.equal(new Set(world.gateway.calls.map(({ key }) => key)).size, 2)
})

for (const [name, profile] of [
  ['found by a lookup', undefined],
  ['sent again under the same key', BLIND],
] as const) {
  test(`a charge whose reply is lost is ${name}, and charged once`, async (t) => {
    const world = await testWorld(t, {
      script: ['lost_reply', 'success'],
      ...(profile === undefined ? {} : { profile }),
    })
    const id = await pay(world, 'deposit')
    await world.work()
    assert.equal((await world.view(id)).lastError, 'timeout')
    world.clock.advance(BACKOFF_MS)
    await world.work()

    assert.equal((await world.view(id)).status, 'success')
    assert.deepEqual([...world.gateway.charged.values()], [[1_000n]])
    assert.deepEqual(await money(world), DEPOSITED)
  })
}

test('a timeout is looked up before the charge is sent again', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'success'] })
  await pay(world, 'withdraw')
  await world.work()
  assert.deepEqual(await money(world), HELD)
  world.clock.advance(BACKOFF_MS)
  await world.work()
  assert.deepEqual(await evidence(world), [
    '1.1 charge in_doubt timeout',
    '2.1 lookup not_found',
    '2.2 charge success',
  ])
  assert.deepEqual(await money(world), WITHDRAWN)
})

test('a gateway that is not idempotent is not charged again while its first charge is in doubt', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'success'], profile: ODD })
  const id = await pay(world, 'withdraw')
  for (let attempt = 0; attempt < POLICY.attemptsMax; attempt += 1) {
    assert.equal((await world.work()).length, 1)
    world.clock.advance(5_000)
  }
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'charge').length, 1)
  assert.equal((await world.view(id)).status, 'unknown')
})

test('a payment that was never executed fails when attempts run out, and its hold is released', async (t) => {
  const world = await testWorld(t, { script: ['not_executed'] })
  const id = await pay(world, 'withdraw')
  await exhaust(world)

  const view = await world.view(id)
  // Tries, of which not a byte left: no attempt.
  assert.deepEqual([view.status, view.attempts], ['failed', 0])
  assert.equal(view.lastError, 'connection_refused')
  assert.deepEqual(await letters(world), [
    { class: 'failed', error: 'connection_refused', state: 'open' },
  ])
  assert.deepEqual(await money(world), UNTOUCHED)
  assert.deepEqual(await tasks(world), [])
})

test('a payment in doubt when attempts run out is unknown, and its hold is kept', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  const id = await pay(world, 'withdraw')
  await exhaust(world)

  const view = await world.view(id)
  assert.deepEqual([view.status, view.transactionStatus], ['unknown', 'processing'])
  assert.equal(view.attempts, 3)
  assert.deepEqual(await letters(world), [{ class: 'unknown', error: 'timeout', state: 'open' }])
  assert.deepEqual(await money(world), HELD)
})

/** A withdrawal that is `unknown`, with its next lookup due. */
async function unknown(world: TestWorld): Promise<bigint> {
  const id = await pay(world, 'withdraw')
  world.gateway.lookups = { kind: 'no_answer', reason: 'http_500' }
  await exhaust(world)
  assert.equal((await world.view(id)).status, 'unknown')
  return id
}

test('an unknown payment succeeds when a lookup says so, and its letter is closed', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'in_doubt', 'lost_reply'] })
  const id = await unknown(world)
  world.gateway.lookups = null
  await world.work()

  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(await letters(world), [
    { class: 'unknown', error: 'timeout', state: 'resolved' },
  ])
  assert.deepEqual(await money(world), WITHDRAWN)
})

test('an unknown payment fails when a lookup says so: one letter ends, another begins', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  const id = await unknown(world)
  world.gateway.lookups = { kind: 'declined', reason: 'status_failed' }
  await world.work()

  assert.equal((await world.view(id)).status, 'failed')
  assert.deepEqual(await letters(world), [
    { class: 'unknown', error: 'timeout', state: 'resolved' },
    { class: 'failed', error: 'status_failed', state: 'open' },
  ])
  assert.deepEqual(await money(world), UNTOUCHED)
})

test('an unknown payment is looked up ever more rarely, and never charged again', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'in_doubt', 'in_doubt', 'success'] })
  const id = await unknown(world)
  const charges = world.gateway.calls.filter(({ kind }) => kind === 'charge').length
  const waits: number[] = []
  for (let lookup = 0; lookup < 9; lookup += 1) {
    await world.work()
    const { nextAt } = await world.view(id)
    const wait = (nextAt?.getTime() ?? 0) - world.clock.now().getTime()
    waits.push(wait / 1_000)
    world.clock.advance(wait)
  }
  assert.deepEqual(waits, [15, 60, 300, 900, 3_600, 21_600, 86_400, 86_400, 86_400])
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'charge').length, charges)
  assert.equal((await world.view(id)).attempts, 3)
  assert.equal((await letters(world)).length, 1)
})

test('"not found" before the grace period proves nothing, after it a failure', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  const id = await pay(world, 'withdraw')
  for (const wait of [BACKOFF_MS, BACKOFF_MS, 5_000]) {
    await world.work()
    world.clock.advance(wait)
  }
  await world.work()
  assert.equal((await world.view(id)).status, 'unknown')
  assert.deepEqual(await money(world), HELD)

  world.clock.advance(POLICY.notFoundGraceMs)
  await world.work()
  const view = await world.view(id)
  assert.deepEqual([view.status, view.lastError], ['failed', 'not_executed'])
  assert.deepEqual(await money(world), UNTOUCHED)
})

test('"not found" of a gateway that is only eventually consistent never proves a failure', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'], profile: EVENTUAL })
  const id = await pay(world, 'withdraw')
  await exhaust(world)
  for (let day = 0; day < 10; day += 1) {
    world.clock.advance(86_400_000)
    await world.work()
  }
  assert.equal((await world.view(id)).status, 'unknown')
  assert.deepEqual(await money(world), HELD)
})

test('an unknown payment of a gateway without lookups leaves the queue and waits for an operator', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'], profile: BLIND })
  const id = await pay(world, 'withdraw')
  await exhaust(world)
  await world.work()
  const view = await world.view(id)
  assert.deepEqual([view.status, view.attempts, view.nextAt], ['unknown', 3, null])
  assert.deepEqual(await tasks(world), [])
  assert.deepEqual(await letters(world), [{ class: 'unknown', error: 'timeout', state: 'open' }])
  assert.deepEqual(await money(world), HELD)
})

test('a definite no fails at once, with one attempt', async (t) => {
  const world = await testWorld(t, { script: ['declined'] })
  const ids = [await pay(world, 'withdraw'), await pay(world, 'deposit')]
  await world.work()
  for (const id of ids) {
    const view = await world.view(id)
    assert.deepEqual([view.status, view.lastError, view.attempts], ['failed', 'http_402', 1])
  }
  assert.deepEqual(await money(world), { ...UNTOUCHED, user: 20_000n })
  const failed = { class: 'failed', error: 'http_402', state: 'open' }
  assert.deepEqual(await letters(world), [failed, failed])
})

test('a retry waits for its backoff, which doubles', async (t) => {
  const world = await testWorld(t, { script: ['not_executed'] })
  const id = await pay(world, 'deposit')
  for (const base of [1_000, 2_000]) {
    assert.equal((await world.work()).length, 1)
    world.clock.advance(base - 1)
    assert.equal((await world.work()).length, 0)
    const wait = ((await world.view(id)).nextAt?.getTime() ?? 0) - world.clock.now().getTime()
    assert.ok(wait >= 1 && wait <= POLICY.jitterMs + 1, `${wait}`)
    world.clock.advance(wait - 1)
    assert.equal((await world.work()).length, 0)
    world.clock.advance(1)
  }
  assert.equal((await world.work()).length, 1)
})

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
    charge: (...args: Parameters<typeof world.gateway.charge>) => {
      stopping.abort()
      return world.gateway.charge(...args)
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

test('a payment that kills every worker is unknown in the end, and never charged after that', async (t) => {
  const world = await testWorld(t)
  world.gateway.lookups = { kind: 'no_answer', reason: 'http_500' }
  const id = await pay(world, 'withdraw')
  for (let crash = 0; crash < POLICY.attemptsMax; crash += 1) {
    assert.equal((await claim(world.world, 10)).length, 1)
    world.clock.advance(LEASE_MS)
  }
  await world.work()
  assert.equal((await world.view(id)).status, 'unknown')
  for (let lookup = 0; lookup < 5; lookup += 1) {
    world.clock.advance(86_400_000)
    await world.work()
  }
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'charge').length, 0)
  assert.deepEqual(await money(world), HELD)
})

test('a worker lost while it looks up leaves the payment unknown, and the next one goes on', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'in_doubt', 'lost_reply'] })
  const id = await unknown(world)
  await claim(world.world, 10)
  world.clock.advance(LEASE_MS)
  world.gateway.lookups = null
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
  assert.ok(
    (await evidence(world)).includes('4.0 lookup in_doubt worker_lost'),
    '(await evidence(world)).includes(4.0 lookup in_doubt worker_lost)',
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

test('a batch of every outcome is settled together, each payment by its own', async (t) => {
  const world = await testWorld(t, {
    script: ['success', 'declined', 'not_executed', 'in_doubt', 'success'],
  })
  const user = await world.user(100_000n)
  const ids: bigint[] = []
  for (let index = 0; index < 5; index += 1) {
    ids.push(await pay(world, index % 2 === 0 ? 'withdraw' : 'deposit', user))
    world.clock.advance(1)
  }
  const settlements: readonly Settlement[] = await world.work()
  assert.equal(settlements.length, 5)
  const outcomes = new Map(
    settlements.map(({ claim: { payment }, decision }) => [payment.id, decision.step]),
  )
  const shown = new Map<string, number>()
  for (const id of ids) {
    const { status } = await world.view(id)
    shown.set(status, (shown.get(status) ?? 0) + 1)
    const expected = { succeed: 'success', fail: 'failed', retry: 'new' } as Record<string, string>
    assert.equal(status, expected[outcomes.get(id) ?? ''])
  }
  assert.deepEqual([...shown.values()].toSorted(), [1, 2, 2])
  await money(world)
})
