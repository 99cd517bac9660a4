import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { takeNotice } from '../src/charging/notices.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import type { Notice, RawNotice } from '../src/ports.ts'
import { testWorld } from './harness.ts'
import { accepted, declined, JANE, lost, openLetter } from './operators.ts'
import { done, givenBack, refunded } from './refunds-kit.ts'
import { back, DAY_MS, watching } from './watch-kit.ts'

const RAW: RawNotice = { source: '198.51.100.1', headers: {}, body: Buffer.alloc(0) }
const MINUTE_MS = 60_000

/** A shop whose final payments are looked at by notices alone. */
async function shop(t: TestContext, namesByRef = true) {
  const world = await testWorld(t)
  const eyes = watching(world)
  const { profile } = world.gateway
  const named = namesByRef ? { ...profile, namesByRef } : profile
  Object.assign(world.gateway, { profile: named })
  const own = { ...eyes.own, gateway: { ...eyes.own.gateway, profile: named } }
  let sent = 0
  const send = async (paymentId: bigint | null, parentRef?: string, kind = 'authentic') => {
    sent += 1
    const said = { ref: 'x_1', event: 'told', status: '', dedupeKey: `evt_${sent}` }
    const about = { kind, operation: 'charge', paymentId, ...said } as Notice
    const notice = parentRef === undefined ? about : { ...about, parentRef }
    const ends: string[] = []
    const gateways = new Map([['http', { profile: named, readNotice: () => notice }]])
    const woken = { onHurried: () => {}, onWatched: () => {} }
    const onNotice = (_: string, end: string) => void ends.push(end)
    await takeNotice({ db: world.db, gateways, ...woken, onNotice }, 'http', RAW, () => 0)
    return ends
  }
  const returned = async (id: bigint) => (await givenBack(world, id))['returned']
  return { world, eyes: { ...eyes, own }, send, returned }
}

test('what a notice says came back of an open payment is booked once it has ended, at no age', async (t) => {
  const { world, eyes, send, returned } = await shop(t)
  const id = await lost(world, 'deposit')
  eyes.came(id, back('dp_1', 1_000n))
  world.clock.advance(MINUTE_MS)
  assert.deepEqual(await send(id, 'pi_1'), ['hurried'])
  assert.equal((await eyes.rows()).length, 1)
  // It goes on: nobody is asked what came back of it.
  for (let times = 0; times < 3; times += 1) {
    world.clock.advance(15 * MINUTE_MS)
    assert.deepEqual(await eyes.look(), [])
  }
  assert.deepEqual(eyes.watched, [])
  world.gateway.lookups = null
  await world.work()
  assert.equal((await world.view(id)).payment.status, 'success')
  world.clock.advance(15 * MINUTE_MS)
  assert.deepEqual(await eyes.look(), ['booked'])
  assert.equal(await returned(id), 1_000n)
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), [])
  assert.deepEqual(await eyes.rows(), [])
})

for (const kind of ['authentic', 'hint']) {
  test(`a notice (${kind}) that comes while a payment is carried out has it looked at once it has ended`, async (t) => {
    const { world, eyes, send, returned } = await shop(t, false)
    const [id = 0n] = await accepted(world, 'deposit')
    const settlements = await world.claimAndCharge()
    eyes.came(id, back('rt_1', 500n))
    assert.deepEqual(await send(id, undefined, kind), ['hurried'])
    await world.settle(settlements)
    world.clock.advance(MINUTE_MS)
    assert.deepEqual(await eyes.look(), ['booked'])
    assert.equal(await returned(id), 500n)
  })
}

test('a notice about an open payment that nobody carries out, and that says nothing came back, leaves no look behind', async (t) => {
  const { world, eyes, send } = await shop(t)
  const [id = 0n] = await accepted(world, 'deposit')
  assert.deepEqual(await send(id), ['nothing'])
  const unknown = await lost(world, 'deposit')
  world.clock.advance(MINUTE_MS)
  assert.deepEqual(await send(unknown), ['hurried'])
  assert.deepEqual(await send(999_999n, 'pi_1'), ['nothing'])
  assert.deepEqual(await eyes.rows(), [])
})

test('a payment that fails after all is looked at once, whatever a notice said before', async (t) => {
  const { world, eyes, send } = await shop(t)
  const id = await lost(world, 'deposit')
  await send(id, 'pi_1')
  const letterId = await openLetter(world, id)
  await resolve(world.world, JANE, [{ letterId, outcome: 'failed', gatewayRef: null }])
  world.gateway.lookups = { kind: 'declined', reason: 'http_402' }
  world.clock.advance(15 * MINUTE_MS)
  assert.deepEqual(await eyes.look(), ['nothing'])
  world.clock.advance(MINUTE_MS)
  assert.deepEqual(await eyes.look(), [])
  assert.deepEqual([eyes.watched, await eyes.rows()], [[id], []])
  const [failed = 0n] = await declined(world, 'deposit')
  assert.deepEqual(await send(failed, 'pi_2'), ['watched'])
})

test('a notice that names a pending deposit by its gateway’s reference alone is about it', async (t) => {
  const { world, eyes, send, returned } = await shop(t)
  world.gateway.script = ['pending']
  const [id = 0n] = await accepted(world, 'deposit')
  world.gateway.lookups = { kind: 'pending', gatewayRef: 'pi_7' }
  await world.work()
  world.clock.advance(10_000)
  await world.work()
  eyes.came(id, back('dp_1', 700n))
  assert.deepEqual(await send(null, 'pi_7'), ['hurried'])
  world.gateway.lookups = { kind: 'success', gatewayRef: 'pi_7' }
  await world.work()
  world.clock.advance(MINUTE_MS)
  assert.deepEqual(await eyes.look(), ['booked'])
  assert.equal(await returned(id), 700n)
})

for (const told of [
  { refunded: 100n },
  { returns: [back('rt_1', 100n)] },
  { unread: [{ ref: 'rt_1', code: 'kind_unknown' }] },
] as const) {
  test(`a payment that ends by a lookup that tells ${Object.keys(told).join()} is looked at at once`, async (t) => {
    const { world, eyes } = await shop(t, false)
    await lost(world, 'deposit')
    world.gateway.lookups = { kind: 'success', gatewayRef: 'gw-1', ...told }
    world.clock.advance(MINUTE_MS)
    await world.work()
    assert.equal((await eyes.look()).length, 1)
  })
}

test('a payment that ends by a lookup that tells of nothing is not looked at', async (t) => {
  const { world, eyes } = await shop(t, false)
  await lost(world, 'deposit')
  world.gateway.lookups = { kind: 'success', gatewayRef: 'gw-1', refunded: 0n }
  world.clock.advance(MINUTE_MS)
  await world.work()
  assert.deepEqual(await eyes.rows(), [])
})

for (const namesByRef of [true, false]) {
  test(`a refund that fails has its deposit looked at ${namesByRef ? '' : 'not '}where the gateway tells refunds by our names`, async (t) => {
    const { world, eyes } = await shop(t, namesByRef)
    const { id } = await done(world)
    await refunded(world, id, '10')
    world.gateway.script = ['declined']
    await world.work()
    assert.deepEqual(await eyes.look(), namesByRef ? ['nothing'] : [])
    assert.deepEqual(eyes.watched, namesByRef ? [id] : [])
    // Another one, while the first look keeps notices off.
    await refunded(world, id, '10')
    await world.work()
    world.clock.advance(10_000)
    assert.deepEqual(await eyes.look(), namesByRef ? ['nothing'] : [])
  })
}
