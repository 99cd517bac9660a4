import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { resolve } from '../src/dead-letters/resolve.ts'
import { withShards } from '../src/each-shard.ts'
import type { GatewayReturn } from '../src/domain/gateway-return.ts'
import { Unavailable, type Db, type GatewayCharge, type ListCharges } from '../src/ports.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { verify } from '../src/verify/verify.ts'
import { testWorld } from './harness.ts'
import { exhaust, JANE, openLetter } from './operators.ts'
import { done, refunded } from './refunds-kit.ts'
import { back } from './watch-kit.ts'

const HERE = 'gateway_missing_here'
const RETURN = 'gateway_return_missing_here'

/** A deposit that its gateway calls `pi_1`, and what that lists of its refunds. */
async function shop(t: TestContext, shards = 1) {
  const world = await testWorld(t, { shards })
  const { id } = await done(world)
  const keyOf = async (of: bigint) => {
    const text = 'select gateway_key::text as key from payments where id = $1'
    return (await world.sql<{ key: string }>(text, [of]))[0]?.key ?? ''
  }
  await world.sql(
    `insert into gateway_refs select shard, 'http', 'pi_1', id from payments where id = $1`,
    [id],
  )
  const money = { amount: 100, currency: null } as const
  const deposit = { paymentId: id, key: await keyOf(id), ref: 'pi_1', ...money, type: 'deposit' }
  const listed = (paymentId: bigint, key: string, ref = 're_1'): GatewayCharge => {
    const about = { paymentId, key, ref, parentRef: 'pi_1', type: 'refund' }
    return { ...about, ...money, amount: 10 }
  }
  const failed = (paymentId: bigint, key: string): GatewayReturn => {
    const unsaid = { kind: null, amount: null, currency: null }
    const about = { ref: 're_1:failed', undoes: 're_1', ...unsaid, at: null }
    return { ...about, paymentId: null, parentRef: 'pi_1', ours: { paymentId, key } }
  }
  const rules = async (
    told: { readonly charges?: readonly GatewayCharge[]; readonly returns?: GatewayReturn[] },
    db: Db = world.db,
  ) => {
    const page = { charges: [deposit, ...(told.charges ?? [])], returns: told.returns ?? [] }
    const list: ListCharges = () => Promise.resolve({ ...page, next: null })
    const gateways = [{ gateway: 'http', list }]
    const report = await verify({ db, clock: world.clock }, { gateways })
    const found = report.rules.filter(({ violations }) => violations > 0)
    return found.flatMap(({ rule, examples }) => examples.map((one) => `${rule} ${one.id}`))
  }
  const book = async (...drafts: ReturnType<typeof back>[]) => {
    const told = drafts.map((draft) => ({ parentId: id, besidesRefund: true, ...draft }))
    for (const one of await bookReturns(
      { db: world.db, refundFee: 'keep', returnFee: 'keep' },
      JANE,
      told,
    )) {
      assert.equal(one.kind, 'booked')
    }
  }
  world.clock.advance(1_000)
  return { world, id, keyOf, listed, failed, rules, book }
}

const MADE = back('re_1', 1_000n, 'refunded_there')

for (const shards of [1, 4]) {
  test(`a refund at the gateway that only says that it is ours agrees once it is booked as a return, of ${shards} shards`, async (t) => {
    const { id, listed, rules, book } = await shop(t, shards)
    // No payment at all, one of another shard, the deposit itself.
    const strangers = [999_999n, id + 1n, id]
    const charges = strangers.map((one, at) => listed(one, 'copied', `re_${at}`))
    const unbooked = await rules({ charges })
    assert.deepEqual(
      unbooked.filter((one) => one.startsWith(HERE)).toSorted(),
      strangers.map((one) => `${HERE} ${one}`).toSorted(),
    )
    await book(...strangers.map((_, at) => back(`re_${at}`, 1_000n, 'refunded_there')))
    assert.deepEqual(await rules({ charges }), [])
    assert.deepEqual(await rules({ charges: [listed(id + 1n, 'copied', 're_9')] }), [
      `${HERE} ${id + 1n}`,
    ])
  })
}

test('a refund of which the charge cannot be asked is not said to be missing', async (t) => {
  const { world, id, listed, rules, book } = await shop(t, 2)
  const home = world.db.of(id).number
  const away = withShards(world.db, (shard) => ({
    ...shard,
    run: (...asked) =>
      shard.number === home ? Promise.reject(new Unavailable('away')) : shard.run(...asked),
    transaction: (...asked) =>
      shard.number === home ? Promise.reject(new Unavailable('away')) : shard.transaction(...asked),
  }))
  const charges = [listed(id + 1n, 'copied')]
  assert.deepEqual(await rules({ charges }, away), [])
  assert.deepEqual(await rules({ charges }), [`${HERE} ${id + 1n}`])
  await book(MADE)
  assert.deepEqual(await rules({ charges }), [])
})

test('a refund that failed at the gateway is missing where it is booked as a return, unless it is open or done here', async (t) => {
  const { world, id, keyOf, failed, rules, book } = await shop(t)
  const refund = await refunded(world, id, '10')
  world.gateway.script = ['lost_reply']
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  await exhaust(world, 3)
  const key = await keyOf(refund)
  const ours = { returns: [failed(refund, key)] }
  const others = { returns: [failed(refund, 'copied')] }
  assert.deepEqual(await rules(others), [], 'of what was never booked nothing is taken back')
  await book(MADE)
  assert.deepEqual(await rules(ours), [])
  assert.deepEqual(await rules(others), [`${RETURN} ${id}`])
  const letterId = await openLetter(world, refund)
  await resolve(world.world, JANE, [{ letterId, outcome: 'failed', gatewayRef: null }])
  assert.deepEqual(await rules(ours), [`${RETURN} ${id}`])
  await book({ ...back('re_1:failed', 1_000n, 'dispute_won') })
  assert.deepEqual([...(await rules(ours)), ...(await rules(others))], [])
})
