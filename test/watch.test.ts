import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endWatched, watch } from '../src/charging/watch.ts'
import { nextWatchMs, watchAgainMs } from '../src/domain/watch.ts'
import { verify } from '../src/verify/verify.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { watchNoticed } from '../src/queue/watches-store.ts'
import { LEASE_MS, testWorld, type TestWorld } from './harness.ts'
import { JANE } from './operators.ts'
import { balanced, done, givenBack, refunded, untilFree } from './refunds-kit.ts'
import { back, DAY_MS, watching } from './watch-kit.ts'

const CHARGES = { gateway: 'http', operation: 'charge' } as const

/** The rules of the books that are broken. */
async function violated(world: TestWorld): Promise<string[]> {
  const report = await verify(world)
  return report.rules.filter((one) => one.violations > 0).map(({ rule }) => rule)
}

/** Tell that a payment is worth a look. */
async function notice(world: TestWorld, id: bigint, route: Parameters<typeof watchNoticed>[2]) {
  return watchNoticed(world.db.of(id), id, route)
}

test('a payment is looked at next at the first age that it has not reached', () => {
  const ages = [10, 100, 1_000]
  assert.equal(nextWatchMs(ages, 0), 10)
  assert.equal(nextWatchMs(ages, 10), 90)
  assert.equal(nextWatchMs(ages, 99.5), 1)
  assert.equal(nextWatchMs(ages, 500), 500, 'what was missed is not made up for')
  assert.equal(nextWatchMs(ages, 1_000), null)
  assert.equal(nextWatchMs([], 0), null)
})

test('what cannot be said is asked again in pauses that grow to a day, and at each age', () => {
  const HOUR = 3_600_000
  const again = (ageMs: number, watchedMs = ageMs) =>
    watchAgainMs([DAY_MS, 30 * DAY_MS], { ageMs, watchedMs })
  const since = (ms: number) => again(DAY_MS + ms)
  assert.equal(since(0), HOUR / 4)
  assert.equal(since(HOUR - 1), HOUR / 4)
  assert.equal(since(HOUR), HOUR)
  assert.equal(since(6 * HOUR), 6 * HOUR)
  assert.equal(since(DAY_MS - 1), 6 * HOUR)
  assert.equal(since(DAY_MS), DAY_MS)
  assert.equal(again(30 * DAY_MS - 5), 5, 'no look at an age is left out')
  assert.equal(again(30 * DAY_MS), HOUR / 4, 'which begins anew')
  assert.equal(again(90 * DAY_MS), DAY_MS)
  assert.equal(again(90 * DAY_MS, 0), HOUR / 4, 'so does a notice about what was watched no more')
})

test('a gateway that never answers about a payment is asked less and less', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  await done(world)
  world.clock.advance(DAY_MS)
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  const pauses: number[] = []
  for (let round = 0; round < 16; round += 1) {
    assert.deepEqual(await eyes.look(), ['no_word'])
    const ms = Math.round((await eyes.rows())[0]?.in_ms ?? 0)
    pauses.push(ms / 900_000)
    world.clock.advance(ms)
  }
  assert.deepEqual(pauses, [1, 1, 1, 1, 4, 4, 4, 4, 4, 24, 24, 24, 96, 96, 96, 96])
  assert.equal(eyes.seen[0]?.reason, 'timeout')
})

test('a refund of another is booked beside one of ours without a reference, where its gateway tells them apart', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  const refund = await refunded(world, id, '40')
  await world.work()
  await world.sql('update payments set gateway_ref = null where id = $1 returning id', [refund])
  eyes.came(id, back('re_1', 4_000n, 'refunded_there'))
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['put_off'])
  assert.deepEqual(eyes.seen[0]?.refusals, [{ ref: 're_1', code: 'refund_in_doubt' }])
  eyes.came(id, { ...back('re_2', 4_000n, 'refunded_there'), besidesRefund: true })
  world.clock.advance(900_000)
  assert.deepEqual(await eyes.look(), ['put_off'])
  assert.equal((await givenBack(world, id))['returned'], 4_000n)
})

test('where a gateway is not watched, a settlement writes nothing for it', async (t) => {
  const world = await testWorld(t)
  await done(world)
  assert.deepEqual(await watching(world).rows(), [])
})

test('a payment that ended well is looked at when it is as old as said, and what came back is booked once', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS, 7 * DAY_MS])
  const { id } = await done(world)
  const payout = await done(world, 'withdraw')
  assert.deepEqual(
    (await eyes.rows()).map(({ in_ms }) => in_ms),
    [DAY_MS, DAY_MS],
  )
  assert.deepEqual(await eyes.look(), [])
  eyes.came(id, back('dp_1', 4_000n))
  eyes.came(payout.id, back('tr_1', 10_000n, 'payout_returned'))
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['booked', 'booked'])
  assert.equal((await givenBack(world, id))['returned'], 4_000n)
  assert.equal((await givenBack(world, payout.id))['returned'], 10_000n)
  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(await eyes.look(), [], 'the next look is in six days')

  eyes.came(id, back('dp_2', 1_000n))
  world.clock.advance(6 * DAY_MS)
  assert.deepEqual(await eyes.look(), ['booked', 'nothing'])
  assert.equal((await givenBack(world, id))['returned'], 5_000n)
  const acts = await world.sql<{ actor: string }>('select actor from operator_acts')
  assert.deepEqual([...new Set(acts.map(({ actor }) => actor))], ['gateway http'])
  // Of both nothing more is asked.
  world.clock.advance(10_000)
  await eyes.look()
  assert.deepEqual(await eyes.rows(), [])
  await balanced(world)
  assert.deepEqual(await violated(world), [])
})

test('a declined payment and a refund are not watched', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  await refunded(world, id, '10')
  await world.work()
  world.gateway.script = ['declined']
  const user = await world.user(1_000n)
  await world.accept([{ type: 'deposit', userId: user, amount: 100n, idempotencyKey: null }])
  await world.work()
  assert.deepEqual(
    (await eyes.rows()).map(({ payment_id }) => payment_id),
    [id],
  )
})

test('a notice about a final payment has it looked at, at most once in ten seconds', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world)
  const { id } = await done(world)
  assert.equal(await notice(world, id, CHARGES), true)
  assert.equal(await notice(world, id, CHARGES), false, 'it is to be looked at already')
  assert.deepEqual(await eyes.look(), ['nothing'])
  world.clock.advance(4_000)
  eyes.came(id, back('dp_1', 4_000n))
  assert.equal(await notice(world, id, CHARGES), true)
  assert.equal(await notice(world, id, CHARGES), false)
  assert.deepEqual(await eyes.look(), [])
  world.clock.advance(5_999)
  assert.deepEqual(await eyes.look(), [])
  world.clock.advance(1)
  assert.deepEqual(await eyes.look(), ['booked'])
  world.clock.advance(10_000)
  assert.deepEqual(await eyes.look(), [], 'what only held off notices goes without a question')
  assert.deepEqual(await eyes.rows(), [])
  assert.equal(eyes.watched.length, 2)
})

test('a notice names a payment that ended well, of its gateway and of its type, or changes nothing', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world)
  const { id, userId } = await done(world)
  for (const route of [
    { gateway: 'other', operation: 'charge' },
    { gateway: 'http', operation: 'payout' },
    { gateway: 'http', operation: 'refund' },
  ] as const) {
    assert.equal(await notice(world, id, route), false, `${route.gateway} ${route.operation}`)
  }
  assert.equal(await notice(world, 999n, CHARGES), false)
  const [open] = await world.accept([
    { type: 'deposit', userId, amount: 100n, idempotencyKey: null },
  ])
  assert(open?.kind === 'accepted')
  assert.equal(await notice(world, open.payment.id, CHARGES), false)
  assert.deepEqual(await eyes.rows(), [])
})

test('a notice that comes while a payment is looked at has it looked at again', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  world.clock.advance(DAY_MS)
  const [claimed] = await eyes.claim()
  assert(claimed !== undefined)
  const end = await watch(eyes.own, claimed)
  eyes.came(id, back('dp_1', 4_000n))
  assert.equal(await notice(world, id, CHARGES), true)
  assert.equal(await notice(world, id, CHARGES), false)
  await endWatched(eyes.own, [end])
  world.clock.advance(10_000)
  assert.deepEqual(await eyes.look(), ['booked'])
})

test('a watch whose worker died is claimed again, and the claim that was lost ends nothing', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS, 2 * DAY_MS])
  const { id } = await done(world)
  eyes.came(id, back('dp_1', 4_000n))
  world.clock.advance(DAY_MS)
  const [lost] = await eyes.claim()
  assert(lost !== undefined)
  // It booked what came back, and died before it could say so.
  const end = await watch(eyes.own, lost)
  assert.deepEqual(await eyes.claim(), [])
  world.clock.advance(LEASE_MS)
  const [again] = await eyes.claim()
  assert(again !== undefined && again.watch.fence === lost.watch.fence + 1n)
  await endWatched(eyes.own, [end])
  assert.equal((await eyes.rows())[0]?.leased, true)
  assert.deepEqual(await watch(eyes.own, again).then(({ delayMs }) => delayMs), DAY_MS - LEASE_MS)
  assert.deepEqual(
    eyes.seen.map(({ what }) => what),
    ['booked', 'nothing'],
  )
  assert.equal((await givenBack(world, id))['returned'], 4_000n)
})

test('two that look at a payment at once book what came back once', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  eyes.came(id, back('dp_1', 4_000n), back('dp_2', 1_000n))
  world.clock.advance(DAY_MS)
  const [first] = await eyes.claim()
  world.clock.advance(LEASE_MS)
  const [second] = await eyes.claim()
  assert(first !== undefined && second !== undefined)
  const other = { ...eyes.own, db: world.connect() }
  await Promise.all([watch(eyes.own, first), watch(other, second)])
  const told = eyes.seen.map(({ what }) => what).toSorted()
  assert(['booked,booked', 'booked,nothing', 'booked,put_off'].includes(told.join()), told.join())
  assert.equal((await givenBack(world, id))['returned'], 5_000n)
  assert.deepEqual(await violated(world), [])
})

test('a gateway that does not answer is asked again, and nothing is booked meanwhile', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  eyes.came(id, back('dp_1', 4_000n))
  world.clock.advance(DAY_MS)
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  assert.deepEqual(await eyes.look(), ['no_word'])
  world.clock.advance(900_000 - 1)
  assert.deepEqual(await eyes.look(), [])
  world.gateway.lookups = null
  world.clock.advance(1)
  assert.deepEqual(await eyes.look(), ['booked'])
})

test('a gateway that asks not to be looked at for a while is heard', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  await done(world)
  world.clock.advance(DAY_MS)
  world.gateway.lookups = { kind: 'no_answer', reason: 'http_429', retryAfterMs: 7_000 }
  assert.deepEqual(await eyes.look(), ['no_word'])
  const [seen] = eyes.seen
  assert.deepEqual([seen?.reason, seen?.retryAfterMs], ['http_429', 7_000])
})

test('whatever a gateway says of a final payment, its status stays and nothing is settled', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS, 2 * DAY_MS, 3 * DAY_MS])
  const { id } = await done(world)
  const before = await balanced(world)
  for (const lookups of [
    { kind: 'declined', reason: 'http_402' },
    { kind: 'not_found' },
    { kind: 'pending' },
  ] as const) {
    world.gateway.lookups = lookups
    world.clock.advance(DAY_MS)
    assert.deepEqual(await eyes.look(), ['nothing'])
  }
  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(await balanced(world), before)
  assert.deepEqual(await world.sql('select from payment_tasks'), [])
})

test('what may be a refund of ours in doubt waits for it, and what is one is not booked again', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  world.gateway.script = ['lost_reply']
  const refund = await refunded(world, id, '40')
  const lookups = { kind: 'no_answer', reason: 'timeout' } as const
  world.gateway.lookups = lookups
  await world.work()
  eyes.came(id, back(`gw-${refund}`, 4_000n, 'refunded_there'))
  world.clock.advance(DAY_MS)
  world.gateway.lookups = null
  assert.deepEqual(await eyes.look(), ['put_off'])
  assert.equal((await givenBack(world, id))['returned'], 0n)
  await world.work()
  assert.equal((await world.view(refund)).status, 'success')
  world.clock.advance(900_000)
  assert.deepEqual(await eyes.look(), ['nothing'])
  const { returned, refunded: given } = await givenBack(world, id)
  assert.deepEqual([returned, given], [0n, 4_000n])
  assert.deepEqual(await violated(world), [])
})

test('what contradicts the books is not booked, and is told', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  eyes.came(id, back('dp_1', 20_001n))
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['refused'])
  assert.deepEqual(eyes.seen[0]?.refusals, [{ ref: 'dp_1', code: 'not_returnable' }])
  assert.equal((await givenBack(world, id))['returned'], 0n)
})

test('what came back and cannot be read is refused until it is booked by hand, and hides nothing', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS, 2 * DAY_MS, 3 * DAY_MS])
  const { id } = await done(world)
  const foreign = { ref: 'dp_9', code: 'currency_differs' } as const
  eyes.unread.push(foreign)
  eyes.came(id, back('dp_1', 4_000n))
  for (const returned of [4_000n, 4_000n]) {
    world.clock.advance(DAY_MS)
    assert.deepEqual(await eyes.look(), ['refused'])
    assert.deepEqual(eyes.seen.at(-1)?.refusals, [foreign])
    assert.equal((await givenBack(world, id))['returned'], returned)
  }
  const draft = { parentId: id, ref: 'dp_9', kind: 'charged_back', amount: 100n } as const
  await untilFree(() =>
    bookReturns({ db: world.db, refundFee: 'keep', returnFee: 'keep' }, JANE, [draft]),
  )
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['nothing'])
})

test('what an operator has booked already is known, and a dispute that is won comes after it', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  const draft = { parentId: id, ref: 'dp_1', kind: 'charged_back', amount: 4_000n } as const
  await untilFree(() =>
    bookReturns({ db: world.db, refundFee: 'keep', returnFee: 'keep' }, JANE, [draft]),
  )
  eyes.came(id, back('dp_1', 4_000n), back('dp_1:won', 4_000n, 'dispute_won'))
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['booked'])
  assert.equal((await givenBack(world, id))['returned'], 0n)
  assert.deepEqual(await violated(world), [])
})

test('a charge-back that was refused and then won moves nothing, and needs nobody', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS, 2 * DAY_MS])
  const { id } = await done(world)
  const won = { ...back('dp_1:won', 20_001n, 'dispute_won'), undoes: 'dp_1' } as const
  eyes.came(id, back('re_1', 10_000n, 'refunded_there'), back('dp_1', 20_001n), won)
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['booked'])
  assert.equal((await givenBack(world, id))['returned'], 10_000n)
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['nothing'])
  assert.equal((await givenBack(world, id))['returned'], 10_000n)
  assert.deepEqual(await violated(world), [])
})

test('a dispute that is won in part only, and not booked, is told', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  const won = { ...back('dp_1:won', 20_000n, 'dispute_won'), undoes: 'dp_1' } as const
  eyes.came(id, back('re_1', 10_000n, 'refunded_there'), back('dp_1', 20_001n), won)
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['refused'])
  assert.deepEqual(
    eyes.seen[0]?.refusals.map(({ ref }) => ref),
    ['dp_1', 'dp_1:won'],
  )
})

test('a payment that is watched is neither open nor in the queue', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  assert.equal((await eyes.rows()).length, 1)
  const view = await world.view(id)
  assert.deepEqual([view.status, view.nextAt], ['success', null])
  assert.deepEqual(await world.sql('select from payment_tasks'), [])
  world.clock.advance(DAY_MS)
  assert.deepEqual(await world.work(), [])
  assert.deepEqual(await violated(world), [])
})
