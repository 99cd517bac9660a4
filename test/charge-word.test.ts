import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { charge, claim } from '../src/charging/charge.ts'
import { refresh } from '../src/charging/refresh.ts'
import { settle } from '../src/charging/settle.ts'
import { timeline } from '../src/timeline/timeline.ts'
import type { Promises } from '../src/domain/charge-decision.ts'
import { LEASE_MS, POLICY, testWorld, type TestWorld } from './harness.ts'
import { accepted, assertBooks, JANE, letters, openLetter } from './operators.ts'

const BLIND: Promises = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'none' }
const DEAF: Promises = { ...BLIND, repeats: 'may_execute_again' }

/** What a withdrawal of 50.00 holds, with its commission. */
const HELD = 5_100n

async function withdraw(world: TestWorld): Promise<bigint> {
  const [id = 0n] = await accepted(world, 'withdraw')
  return id
}

async function redriveOf(world: TestWorld, id: bigint): Promise<void> {
  const letterId = await openLetter(world, id)
  const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  assert.equal(answer?.kind, 'redriven')
}

/** Claim, and lose the lease to another worker that learns nothing. */
async function overtaken(world: TestWorld) {
  const late = await world.claimAndCharge()
  world.clock.advance(LEASE_MS)
  return late
}

const task = async (world: TestWorld) => {
  const [row] = await world.sql<Record<string, unknown>>('select * from payment_tasks')
  return row ?? {}
}

for (const [state, during] of [
  ['waits for its next try', async (world: TestWorld) => void (await world.work())],
  ['is held by another worker', async (world: TestWorld) => void (await world.claimAndCharge())],
  ['has lost another worker', async (world: TestWorld) => void (await claim(world.world, 10))],
] as const) {
  test(`a yes that comes late settles a payment that ${state}`, async (t) => {
    const world = await testWorld(t, { script: ['success', 'in_doubt'], profile: BLIND })
    const id = await withdraw(world)
    const late = await overtaken(world)
    world.gateway.script = ['in_doubt']
    await during(world)

    assert.equal((await world.settle(late)).settlements.length, 1)

    assert.equal((await world.view(id)).status, 'success')
    assert.deepEqual(await world.sql('select payment_id from payment_tasks'), [])
    const sums = await assertBooks(world)
    assert.deepEqual([sums['held'], sums['gateway']], [0n, 5_000n])
    // Told again, it changes nothing.
    assert.equal((await world.settle(late)).settlements.length, 0)
    await assertBooks(world)
  })
}

test('a yes that comes late settles what became unknown and left the queue, and closes its letter', async (t) => {
  const world = await testWorld(t, { script: ['success', 'in_doubt'], profile: DEAF })
  const id = await withdraw(world)
  const late = await overtaken(world)
  await world.work()
  assert.equal((await world.view(id)).status, 'unknown')
  assert.equal((await assertBooks(world))['held'], HELD)

  await world.settle(late)

  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(
    (await letters(world, id)).map(({ state }) => state),
    ['resolved'],
  )
  assert.equal((await assertBooks(world))['held'], 0n)
})

test('whoever holds a payment when a late yes settles it finds its claim gone', async (t) => {
  const world = await testWorld(t, { script: ['success', 'declined'] })
  const id = await withdraw(world)
  const late = await overtaken(world)
  world.gateway.lookups = { kind: 'declined', reason: 'no_funds' }
  const holder = await world.claimAndCharge()

  await Promise.all([world.settle(late), world.settle(holder)])

  const sums = await assertBooks(world)
  const { status } = await world.view(id)
  // Whichever comes first is final; a yes against a no is for a person to see.
  if (status === 'success') return assert.equal(sums['gateway'], 5_000n)
  assert.equal(status, 'failed')
  const errors = (await letters(world, id)).map(({ error }) => error)
  assert.ok(errors.includes('charged_after_failed'), errors.join())
})

test('a payment with a stored yes is never failed, and never unknown', async (t) => {
  for (const step of ['declined', 'in_doubt'] as const) {
    const world = await testWorld(t, { script: [step], profile: DEAF })
    const id = await withdraw(world)
    await world.sql(`
      insert into payment_attempts
        (shard, payment_id, fence, call, kind, outcome, sent, started_at, took_ms, late)
      select 0, id, 0, 1, 'charge', 'success', true, created_at, 1, true from payments`)
    await world.work()
    assert.equal((await world.view(id)).status, 'success')
    assert.equal((await assertBooks(world))['gateway'], 5_000n)
  }
})

test('a payment of unknown outcome says first why its charge is in doubt, then what the last lookup said', async (t) => {
  const world = await testWorld(t, { script: ['lost_reply'] })
  const id = await withdraw(world)
  for (const reason of ['http_500', 'http_503']) {
    world.gateway.lookups = { kind: 'no_answer', reason }
    for (let round = 0; round < 5; round += 1) {
      await world.work()
      world.clock.advance(60_000)
    }
  }
  const told = await timeline(world.world, id)
  assert.match(
    told?.explanation ?? '',
    /^Nobody knows whether the gateway executed it \(timeout\);/,
  )
  assert.match(told?.explanation ?? '', /asked again .* \(last lookup: http_503\)\.$/)
})

test('a refusal of the gateway uses up a try, and a wrong credential nothing', async (t) => {
  const world = await testWorld(t, { script: ['misconfigured'] })
  const id = await withdraw(world)
  for (let round = 0; round < 10; round += 1) {
    assert.equal((await world.work()).length, 1)
    world.clock.advance(POLICY.backoffMaxMs + POLICY.jitterMs)
  }
  assert.deepEqual([(await task(world))['tries'], (await task(world))['first_sent_at']], [0, null])
  assert.equal((await assertBooks(world))['held'], HELD)
  assert.deepEqual(await letters(world, id), [])
  const { explanation } = (await timeline(world.world, id)) ?? {}
  assert.match(
    explanation ?? '',
    /^The gateway refuses to talk to us \(http_401\), so no money moved/,
  )

  world.gateway.script = ['success']
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
})

test('one odd payment that the gateway will not talk about fails, and keeps nobody waiting', async (t) => {
  const world = await testWorld(t)
  const odd = await withdraw(world)
  const others = await accepted(world, 'deposit', 20)
  let answeredMs = -1
  const gateway = {
    ...world.gateway,
    async execute(request: Parameters<typeof world.gateway.execute>[0]) {
      if (request.paymentId !== odd) {
        answeredMs = world.clock.elapsedMs()
        return world.gateway.execute(request)
      }
      const outcome = { kind: 'misconfigured', reason: 'http_404' } as const
      return { outcome, sent: true, httpStatus: 404 }
    },
  }
  const answeredSince = (_: unknown, ageMs: number) =>
    answeredMs > world.clock.elapsedMs() - ageMs || answeredMs === world.clock.elapsedMs() - ageMs
  const own = { ...world.world, gateway, answeredSince }
  for (let round = 0; round < 6; round += 1) {
    const claims = await claim(own, 100)
    await settle(own, await Promise.all(claims.map((one) => charge(own, one))))
    for (const id of others) assert.equal((await world.view(id)).status, 'success')
    world.clock.advance(POLICY.backoffMaxMs + POLICY.jitterMs)
  }
  const { status, lastError } = await world.view(odd)
  assert.deepEqual([status, lastError], ['failed', 'rejected'])
  assert.equal((await assertBooks(world))['held'], 0n)
})

test('a restart of the gateway fails nobody: tries alone end nothing before their time', async (t) => {
  const world = await testWorld(t, { script: ['not_executed'] })
  const own = { ...world.world, policy: { ...world.world.policy, giveUpMs: 900_000 } }
  const work = async () => {
    const claims = await claim(own, 10)
    await settle(own, await Promise.all(claims.map((one) => charge(own, one))))
  }
  const id = await withdraw(world)
  for (let second = 0; second < 900; second += 31) {
    await work()
    assert.equal((await world.view(id)).status, 'new')
    world.clock.advance(31_000)
  }
  await work()
  assert.equal((await world.view(id)).status, 'failed')
  assert.equal((await assertBooks(world))['held'], 0n)
})

test('what the gateway has in hand is shown as pending, asked about, and opens no letter', async (t) => {
  const world = await testWorld(t, { script: ['pending'] })
  const id = await withdraw(world)
  await world.work()
  const waits: number[] = []
  for (let asked = 0; asked < 8; asked += 1) {
    const { status, nextAt, attempts } = await world.view(id)
    assert.deepEqual([status, attempts], ['pending', 1])
    const waitMs = (nextAt?.getTime() ?? 0) - world.clock.now().getTime()
    waits.push(waitMs / 1_000)
    world.clock.advance(waitMs)
    await world.work()
  }
  assert.deepEqual(waits, [10, 30, 60, 300, 900, 3_600, 86_400, 86_400])
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'charge').length, 1)
  assert.deepEqual(await letters(world, id), [])
  assert.match(
    (await timeline(world.world, id))?.explanation ?? '',
    /^The gateway has it and has not finished it/,
  )

  const [key = ''] = world.gateway.pending
  world.gateway.pending.clear()
  world.gateway.charged.set(key, [5_000n])
  world.clock.advance(86_400_000)
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
  assert.equal((await assertBooks(world))['gateway'], 5_000n)
})

test('attempts are charges of which a byte was sent: lookups never count, and a redrive forgets none', async (t) => {
  const world = await testWorld(t, { script: ['not_executed', 'in_doubt', 'in_doubt'] })
  world.gateway.lookups = { kind: 'no_answer', reason: 'http_500' }
  const id = await withdraw(world)
  for (let round = 0; round < 6; round += 1) {
    await world.work()
    world.clock.advance(POLICY.backoffMaxMs + POLICY.jitterMs)
  }
  const before = await world.view(id)
  assert.deepEqual([before.status, before.attempts], ['unknown', 2])
  assert.deepEqual(await world.sql('select attempts from dead_letters'), [{ attempts: 2 }])

  await redriveOf(world, id)
  assert.equal((await world.view(id)).attempts, 2)
  world.gateway.script = ['success']
  await world.work()
  const after = await world.view(id)
  assert.deepEqual([after.status, after.attempts], ['success', 3])
})

test('a redrive does not give a key a new life', async (t) => {
  const profile: Promises = { ...BLIND, lookup: 'eventual' }
  const world = await testWorld(t, { script: ['in_doubt'], profile })
  const id = await withdraw(world)
  const exhaust = async () => {
    for (let round = 0; round < 6; round += 1) {
      await world.work()
      world.clock.advance(POLICY.backoffMaxMs + POLICY.jitterMs)
    }
  }
  await exhaust()
  const charges = () => world.gateway.calls.filter(({ kind }) => kind === 'charge').length
  const sent = charges()
  world.clock.advance(profile.keyLifeMs)
  await redriveOf(world, id)
  await exhaust()
  assert.equal(charges(), sent)
  assert.equal((await world.view(id)).status, 'unknown')
  const open = (await letters(world, id)).filter(({ state }) => state === 'open')
  assert.deepEqual(
    open.map(({ error }) => error),
    ['not_found'],
  )
})

test('evidence is dated by the database, however wrong the clock of its worker is', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  const skewed = { ...world.clock, now: () => new Date(world.clock.now().getTime() + 3_600_000) }
  const own = { ...world.world, clock: skewed }
  const id = await withdraw(world)
  const startedAt = world.clock.now()
  const claims = await claim(own, 10)
  const settlements = await Promise.all(claims.map((one) => charge(own, one)))
  world.clock.advance(4_000)
  await settle(own, settlements)

  const [row] = await world.sql<{ at: Date }>('select started_at as at from payment_attempts')
  assert.deepEqual(row?.at, startedAt)
  // An hour ahead by its worker, it would keep everybody from asking for an hour.
  assert.notEqual(await refresh(world.world, id), null)
})

test('asking again and again leaves no trace that grows', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  world.gateway.lookups = { kind: 'no_answer', reason: 'http_500' }
  const id = await withdraw(world)
  await world.work()
  const count = async () => (await world.sql('select call from payment_attempts')).length
  const before = await count()
  await world.sql("update payment_tasks set run_at = run_at + interval '1 day'")
  for (let times = 0; times < 20; times += 1) {
    world.clock.advance(2_000)
    assert.notEqual(await refresh(world.world, id), null)
  }
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'lookup').length, 20)
  assert.equal(await count(), before)

  world.gateway.lookups = { kind: 'success', gatewayRef: 'gw-7' }
  world.clock.advance(2_000)
  await refresh(world.world, id)
  assert.equal(await count(), before + 1)
  assert.equal((await world.view(id)).status, 'success')
})
