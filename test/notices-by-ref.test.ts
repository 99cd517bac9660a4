import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { takeNotice } from '../src/charging/notices.ts'
import { watch } from '../src/charging/watch.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { withShards } from '../src/each-shard.ts'
import { Unavailable, type Db, type Notice, type RawNotice } from '../src/ports.ts'
import { keepRefs, keepSaidRefs } from '../src/payments/gateway-refs-store.ts'
import { testWorld } from './harness.ts'
import { JANE, lost, openLetter } from './operators.ts'
import { done, refunded } from './refunds-kit.ts'
import { back, DAY_MS, watching } from './watch-kit.ts'

const RAW: RawNotice = { source: '198.51.100.1', headers: {}, body: Buffer.alloc(0) }

/** What a driver reads of a dispute, or of a refund that others have made. */
function about(parentRef: string, dedupeKey: string, more: Partial<Notice> = {}): Notice {
  const said = { ref: 'dp_1', event: 'charge.dispute.created', status: 'needs_response' }
  const named = { operation: 'charge', paymentId: null, parentRef, dedupeKey } as const
  return { kind: 'authentic', ...named, ...said, ...more } as Notice
}

/** A shop whose gateway names what comes back by its own reference of the charge. */
async function shop(t: TestContext, shards = 1, namesByRef = true) {
  const world = await testWorld(t, { shards })
  const eyes = watching(world, [DAY_MS])
  const { profile } = world.gateway
  const named = namesByRef ? { ...profile, namesByRef } : profile
  Object.assign(world.gateway, { profile: named })
  const own = { ...eyes.own, gateway: { ...eyes.own.gateway, profile: named } }
  const send = async (notice: Notice, db: Db = world.db) => {
    const ends: string[] = []
    const gateways = new Map([['http', { profile: named, readNotice: () => notice }]])
    const woken = { onHurried: () => ends.push('woken'), onWatched: () => ends.push('woken') }
    const onNotice = (_: string, end: string) => void ends.push(end)
    await takeNotice({ db, gateways, ...woken, onNotice }, 'http', RAW, () => 0)
    return ends
  }
  const refs = () =>
    world.sql<{ ref: string; id: bigint }>(
      'select ref, payment_id as id from gateway_refs order by payment_id',
    )
  return { world, eyes: { ...eyes, own }, send, refs }
}

for (const shards of [1, 4]) {
  test(`a notice that names a deposit by its gateway’s reference alone has it looked at, at any age, of ${shards} shards`, async (t) => {
    const { world, send, eyes } = await shop(t, shards)
    const { id } = await done(world)
    world.clock.advance(400 * DAY_MS)
    await eyes.look()
    eyes.came(id, back('dp_1', 5_000n))
    assert.deepEqual(await send(about('gw-0', 'evt_1')), ['nothing'])
    assert.deepEqual(await eyes.look(), [])
    world.clock.advance(DAY_MS)
    assert.deepEqual(await send(about(`gw-${id}`, 'evt_2')), ['watched', 'woken'])
    assert.deepEqual(await eyes.look(), ['booked'])
    assert.deepEqual(await send(about(`gw-${id}`, 'evt_2')), ['duplicate'])
    const kept = await world.sql(
      'select dedupe_key as key, payment_id as id from gateway_notices order by 1',
    )
    assert.deepEqual(kept, [
      { key: 'evt_1', id: null },
      { key: 'evt_2', id },
    ])
  })
}

test('a notice is not taken while the shard cannot be asked that may have its payment', async (t) => {
  const { world, send } = await shop(t, 2)
  const { id } = await done(world)
  const away = (number: number) =>
    withShards(world.db, (shard) => ({
      ...shard,
      run: (...asked) =>
        shard.number === number && asked[0].name === 'gateway_refs_find'
          ? Promise.reject(new Unavailable('away'))
          : shard.run(...asked),
    }))
  const home = world.db.of(id).number
  const notice = about(`gw-${id}`, 'evt_1')
  await assert.rejects(send(notice, away(home)), Unavailable)
  assert.deepEqual(await world.sql('select from gateway_notices'), [])
  assert.deepEqual(await send(notice, away(1 - home)), ['watched', 'woken'], 'another one is away')
})

test('a notice about a refund of ours that is final has its deposit looked at', async (t) => {
  const { world, send } = await shop(t)
  const { id } = await done(world)
  const refund = await refunded(world, id, '10')
  const told = { operation: 'refund', paymentId: refund, event: 'refund.failed' } as const
  await world.work()
  assert.equal((await world.view(refund)).status, 'success')
  assert.deepEqual(await send(about(`gw-${id}`, 'evt_1', told)), ['watched', 'woken'])
  assert.deepEqual(await send(about('gw-0', 'evt_2', told)), ['nothing'])
})

for (const shards of [1, 4]) {
  test(`a notice that names a payment which is not ours is about the charge that it is of, of ${shards} shards`, async (t) => {
    const { world, send, eyes } = await shop(t, shards)
    const { id } = await done(world)
    const other = await done(world, 'withdraw')
    const kept = () =>
      world.sql(
        `select dedupe_key as key, payment_id as id, verdict from gateway_notices order by 1`,
      )
    for (const [key, operation, paymentId] of [
      ['evt_1', 'refund', 999_999n],
      // In the shard behind that of the deposit.
      ['evt_2', 'refund', id + 1n],
      // One of ours, and no refund.
      ['evt_3', 'refund', other.id],
      ['evt_4', 'charge', 999_999n],
    ] as const) {
      world.clock.advance(DAY_MS)
      await eyes.look()
      const notice = about(`gw-${id}`, key, { operation, paymentId })
      assert.deepEqual(await send(notice), ['watched', 'woken'], key)
      assert.deepEqual((await kept()).at(-1), { key, id, verdict: 'watched' })
      assert.deepEqual(await send(notice), ['duplicate'])
      assert.equal((await kept()).length, Number(key.at(-1)))
    }
    const hint = about(`gw-${id}`, 'hint', { kind: 'hint', operation: 'refund', paymentId: 5n })
    world.clock.advance(DAY_MS)
    await eyes.look()
    assert.deepEqual(await send(hint), ['watched', 'woken'])
    const nobody = about('gw-0', 'evt_5', { operation: 'refund', paymentId: 999_999n })
    assert.deepEqual(await send(nobody), ['nothing'])
    assert.deepEqual((await kept()).at(-1), { key: 'evt_5', id: 999_999n, verdict: 'nothing' })
    assert.deepEqual(await send(nobody), ['nothing'])
  })
}

test('what a gateway calls a deposit is kept whoever ends it, and of older ones when they are looked at', async (t) => {
  const { world, refs, eyes } = await shop(t)
  const first = await done(world)
  const id = await lost(world, 'deposit')
  const letterId = await openLetter(world, id)
  const word = { letterId, outcome: 'success', gatewayRef: 'gw-said' } as const
  await resolve(world.world, JANE, [word])
  const all = [
    { ref: `gw-${first.id}`, id: first.id },
    { ref: 'gw-said', id },
  ]
  assert.deepEqual(await refs(), all)
  await world.sql('delete from gateway_refs where payment_id = $1', [first.id])
  world.gateway.lookups = null
  world.clock.advance(DAY_MS)
  const claims = await eyes.claim()
  for (const claimed of claims) await watch(eyes.own, claimed)
  // Of what somebody had to say for it, the gateway says its own.
  assert.deepEqual(await refs(), [...all, { ref: `gw-${id}`, id }])
})

for (const first of ['the person', 'the gateway']) {
  test(`a reference that somebody has mistyped hides no payment that its gateway calls so, where ${first} says it first`, async (t) => {
    const { world, refs, send, eyes } = await shop(t)
    const mistaken = await lost(world, 'deposit')
    const letterId = await openLetter(world, mistaken)
    world.gateway.lookups = null
    const typed = async (gatewayRef: string) => {
      const word = { letterId, outcome: 'success', gatewayRef } as const
      const [answer] = await resolve(world.world, JANE, [word])
      return answer?.kind === 'refused' ? answer.refusal.code : answer?.kind
    }
    // Ids of one shard follow one another.
    if (first === 'the person') assert.equal(await typed(`gw-${mistaken + 1n}`), 'resolved')
    world.gateway.script = ['success']
    const { id } = await done(world)
    if (first === 'the gateway') assert.equal(await typed(`gw-${id}`), 'gateway_ref_taken')
    assert.deepEqual(await refs(), [{ ref: `gw-${id}`, id }])
    world.clock.advance(DAY_MS)
    await eyes.look()
    assert.deepEqual(await send(about(`gw-${id}`, 'evt_1')), ['watched', 'woken'])
    const [kept] = await world.sql<{ id: bigint }>('select payment_id as id from gateway_notices')
    assert.equal(kept?.id, id)
  })
}

test('all payments that are called the same are asked about, in whichever shards they are', async (t) => {
  const { world, send, eyes } = await shop(t, 2)
  const ids = [await done(world), await done(world)].map(({ id }) => id)
  assert.notEqual(world.db.of(ids[0] ?? 0n), world.db.of(ids[1] ?? 0n), 'users are in turn')
  await world.sql(`update gateway_refs set ref = 'pi_1'`)
  world.clock.advance(DAY_MS)
  await eyes.look()
  assert.deepEqual(await send(about('pi_1', 'evt_1')), ['watched', 'woken', 'woken'])
  world.clock.advance(10_000)
  assert.deepEqual(await eyes.look(), ['nothing', 'nothing'])
  assert.deepEqual(await send(about('pi_1', 'evt_1')), ['duplicate'])
})

test('of two payments that a gateway calls the same in one batch one is kept, and nothing fails', async (t) => {
  const { world, refs } = await shop(t)
  const [shard] = world.db.shards
  const kept = (paymentId: bigint) => ({ gateway: 'http', ref: 'pi_1', paymentId })
  await shard?.transaction(async (tx) => keepRefs(tx, [kept(2n), kept(1n)]))
  assert.deepEqual(await refs(), [{ ref: 'pi_1', id: 1n }])
  await shard?.transaction(async (tx) => keepRefs(tx, [kept(2n)]))
  assert.deepEqual(await refs(), [{ ref: 'pi_1', id: 2n }], 'its last word counts')
  await shard?.transaction(async (tx) => keepSaidRefs(tx, [kept(3n)]))
  assert.deepEqual(await refs(), [{ ref: 'pi_1', id: 2n }])
})

test('a gateway that names our payments has no reference kept', async (t) => {
  const { world, refs } = await shop(t, 1, false)
  await done(world)
  assert.deepEqual(await refs(), [])
})
