import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { takeNotice } from '../src/charging/notices.ts'
import { correct } from '../src/dead-letters/correct.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import type { LookupOutcome } from '../src/domain/outcome.ts'
import { operationOf, type CarriedType } from '../src/domain/payment.ts'
import type { Notice, RawNotice } from '../src/ports.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { testWorld } from './harness.ts'
import { accepted, declined, JANE, letters, lost, openLetter } from './operators.ts'
import { done, refunded, untilFree } from './refunds-kit.ts'
import { watching } from './watch-kit.ts'

const RAW: RawNotice = { source: '198.51.100.1', headers: {}, body: Buffer.alloc(0) }
const MINUTE_MS = 60_000
const YES: LookupOutcome = { kind: 'success', gatewayRef: 'gw-late' }

/** A shop whose gateway sends notices, and what becomes of them. */
async function shop(t: TestContext) {
  const world = await testWorld(t)
  const eyes = watching(world)
  const { gateway } = world
  const send = async (paymentId: bigint, more: Partial<Notice> & { type?: CarriedType } = {}) => {
    const { type = 'deposit', ...told } = more
    const said = { ref: 'x_1', event: 'told', status: '', dedupeKey: 'evt_1' }
    const operation = operationOf(type)
    const notice = { kind: 'authentic', operation, paymentId, ...said, ...told } as Notice
    const ends: string[] = []
    const { profile } = gateway
    const gateways = new Map([['http', { profile, readNotice: () => notice }]])
    const woken = { onHurried: () => {}, onWatched: () => {} }
    const onNotice = (_: string, end: string) => void ends.push(end)
    await takeNotice({ db: world.db, gateways, ...woken, onNotice }, 'http', RAW, () => 0)
    return ends.join()
  }
  /** What the next looks come to, a minute after. */
  const look = async () => {
    world.clock.advance(MINUTE_MS)
    return await eyes.look()
  }
  /** The errors of the open letters of a payment. */
  const open = async (id: bigint) => {
    const all = await letters(world, id)
    return all.filter(({ state }) => state === 'open').map((one) => `${one.class} ${one.error}`)
  }
  return { world, eyes, send, look, open }
}

for (const kind of ['authentic', 'hint'] as const) {
  for (const type of ['deposit', 'withdraw'] as const) {
    test(`a notice (${kind}) about a ${type} that failed has it asked about once, and a yes opens its letter`, async (t) => {
      const { world, eyes, send, look, open } = await shop(t)
      const [id = 0n] = await declined(world, type)
      assert.deepEqual(await open(id), ['failed http_402'])
      world.gateway.lookups = YES
      assert.equal(await send(id, { kind, type }), 'watched')
      assert.deepEqual(await eyes.look(), [], 'its gateway may find late what it did')
      assert.deepEqual(await look(), ['charged'])
      assert.deepEqual(eyes.seen.at(-1)?.refusals, [
        { ref: 'gw-late', code: 'charged_after_failed' },
      ])
      assert.deepEqual(await open(id), ['unknown charged_after_failed'])
      assert.equal((await world.view(id)).payment.status, 'failed')
      assert.deepEqual(await look(), [])
      assert.deepEqual(eyes.watched, [id])
      const request = { letterId: await openLetter(world, id), gatewayRef: null }
      const [corrected] = await untilFree(() => correct(world.world, JANE, [request]))
      assert.equal(corrected?.kind, 'corrected')
    })
  }
}

for (const [said, outcome] of [
  ['no', { kind: 'declined', reason: 'http_402' }],
  ['that it goes on', { kind: 'pending' }],
  ['that it knows nothing of it', { kind: 'not_found' }],
] as const) {
  test(`a failed payment of which its gateway says ${said} stays as it was`, async (t) => {
    const { world, eyes, send, look, open } = await shop(t)
    const [id = 0n] = await declined(world, 'deposit')
    world.gateway.lookups = outcome
    await send(id)
    assert.deepEqual(await look(), ['nothing'])
    assert.deepEqual(await open(id), ['failed http_402'])
    await look()
    assert.deepEqual(await eyes.rows(), [])
  })
}

test('a failed payment of which its gateway says nothing is asked about again', async (t) => {
  const { world, send, look, open } = await shop(t)
  const [id = 0n] = await declined(world, 'deposit')
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  await send(id)
  assert.deepEqual(await look(), ['no_word'])
  world.gateway.lookups = YES
  assert.deepEqual(await look(), [])
  world.clock.advance(15 * MINUTE_MS)
  assert.deepEqual(await look(), ['charged'])
  assert.deepEqual(await open(id), ['unknown charged_after_failed'])
})

test('what was never sent, or of which a notice says no again, is not asked about', async (t) => {
  const { world, eyes, send } = await shop(t)
  const [id = 0n] = await declined(world, 'deposit')
  assert.equal(await send(id, { noNewsOf: ['failed'] }), 'nothing')
  assert.equal(await send(id, { type: 'withdraw' }), 'nothing', 'it is of another kind')
  world.gateway.script = ['not_executed']
  const [unsent = 0n] = await accepted(world, 'deposit')
  for (let tries = 0; tries < 6; tries += 1) {
    await world.work()
    world.clock.advance(30 * MINUTE_MS)
  }
  const { payment } = await world.view(unsent)
  assert.deepEqual([payment.status, payment.attempts], ['failed', 0])
  assert.equal(await send(unsent), 'nothing')
  assert.deepEqual(await eyes.rows(), [])
})

test('a signed notice of which nothing came is taken anew when it is sent again, and once', async (t) => {
  const { world, send, look, open } = await shop(t)
  const [id = 0n] = await accepted(world, 'deposit')
  assert.equal(await send(id), 'nothing')
  world.gateway.script = ['declined']
  await world.work()
  world.gateway.lookups = YES
  assert.equal(await send(id), 'watched')
  assert.equal(await send(id), 'duplicate')
  assert.deepEqual(await look(), ['charged'])
  assert.deepEqual(await open(id), ['unknown charged_after_failed'])
  assert.equal(await send(id), 'duplicate')
  const kept = await world.sql('select payment_id as id, verdict from gateway_notices')
  assert.deepEqual(kept, [{ id, verdict: 'watched' }])
})

test('a yes that a notice told during the call is not lost where the call ends in a no', async (t) => {
  const { world, send, look, open } = await shop(t)
  world.gateway.script = ['declined']
  const [id = 0n] = await accepted(world, 'deposit')
  const settlements = await world.claimAndCharge()
  await send(id, { noNewsOf: ['success'] })
  await world.settle(settlements)
  world.gateway.lookups = YES
  assert.deepEqual(await look(), ['charged'])
  assert.deepEqual(await open(id), ['unknown charged_after_failed'])
})

test('what an operator failed and corrected meanwhile gets no letter', async (t) => {
  const { world, eyes, send, open } = await shop(t)
  const id = await lost(world, 'deposit')
  const letterId = await openLetter(world, id)
  await resolve(world.world, JANE, [{ letterId, outcome: 'failed', gatewayRef: null }])
  world.gateway.lookups = YES
  await send(id)
  world.clock.advance(MINUTE_MS)
  const request = { letterId, gatewayRef: 'gw-said', againstEvidence: true }
  const corrected = () => untilFree(() => correct(world.world, JANE, [request]))
  const { lookup } = world.gateway
  world.gateway.lookup = async (...asked) => {
    world.gateway.lookup = lookup
    const [answer] = await corrected()
    assert.equal(answer?.kind, 'corrected')
    return await lookup(...asked)
  }
  assert.deepEqual(await eyes.look(), ['nothing'])
  assert.deepEqual(await open(id), [])
})

test('a refund that failed and was made has a letter, unless it is booked as a return', async (t) => {
  const { world, send, look, open } = await shop(t)
  const { id: deposit } = await done(world)
  world.gateway.script = ['declined']
  const ids = [await refunded(world, deposit, '10'), await refunded(world, deposit, '20')]
  await world.work()
  world.gateway.lookups = YES
  const [first = 0n, second = 0n] = ids
  const parent = { type: 'refund', parentRef: `gw-${deposit}` } as const
  assert.equal(await send(first, parent), 'nothing', 'its deposit tells of it')
  assert.equal(await send(first, { type: 'refund' }), 'watched')
  assert.deepEqual(await look(), ['charged'])
  assert.deepEqual(await open(first), ['unknown charged_after_failed'])
  const came = {
    parentId: deposit,
    ref: 'gw-late',
    kind: 'refunded_there',
    amount: 1_000n,
  } as const
  const policies = { db: world.db, refundFee: 'keep', returnFee: 'keep' } as const
  await untilFree(() => bookReturns(policies, JANE, [came]))
  await send(second, { type: 'refund', dedupeKey: 'evt_2' })
  // Its deposit is looked at as well, because something was booked of it.
  assert.deepEqual(await look(), ['nothing', 'nothing'])
  assert.deepEqual(await open(second), ['failed http_402'])
})
