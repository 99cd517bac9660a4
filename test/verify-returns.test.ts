import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { httpCharges } from '../src/gateways/http-charges.ts'
import { stripeCharges } from '../src/gateways/stripe-list.ts'
import { SAID_KINDS, type SaidKind } from '../src/domain/returns.ts'
import type { GatewayReturn } from '../src/domain/gateway-return.ts'
import type { GatewayCharge, ListCharges } from '../src/ports.ts'
import { watchNoticed } from '../src/queue/watches-store.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { testWorld } from './harness.ts'
import { serveMock } from './mock-server.ts'
import { JANE } from './operators.ts'
import { done, refunded } from './refunds-kit.ts'
import { SECRET_KEY } from './stripe-kit.ts'
import { verifyWorld } from './verify-history.ts'
import { back } from './watch-kit.ts'

const HOUR_MS = 3_600_000
const RULE = 'gateway_return_missing_here'
const DIFFERS = 'gateway_return_amount'
/** Of any age. */
const AGED = { at: null } as const

/** A deposit that its gateway lists, with whatever came back of it there. */
async function shop(t: TestContext, shards = 1) {
  const world = await testWorld(t, { shards })
  const { id } = await done(world)
  const [row] = await world.sql<{ key: string }>(
    'select gateway_key::text as key from payments where id = $1',
    [id],
  )
  const about = { key: row?.key ?? '', amount: 100, currency: null, type: 'deposit' }
  const charge: GatewayCharge = { paymentId: id, ref: `gw-${id}`, ...about }
  const returned = (ref: string, more: Partial<GatewayReturn> = {}): GatewayReturn => {
    const unsaid = { kind: null, amount: null, currency: null } as const
    return { paymentId: id, parentRef: null, ref, ...unsaid, at: world.clock.now(), ...more }
  }
  const missing = (...returns: GatewayReturn[]) => listed([], ...returns)
  const names: string[] = []
  /** The same of a list that tells all that came back in some ways. */
  const listed = async (tells: readonly SaidKind[], ...returns: GatewayReturn[]) => {
    const page = { charges: [charge], returns, tells, names, next: null }
    const list: ListCharges = () => Promise.resolve(page)
    const report = await verifyWorld(world, { gateways: [{ gateway: 'http', list }] })
    const rules = report.rules.filter(({ rule, violations }) => {
      return rule.startsWith('gateway_return') && violations > 0
    })
    return rules.flatMap(({ rule, examples }) => examples.map((one) => `${rule} ${one.id}`))
  }
  const book = async (...drafts: (ReturnType<typeof back> & { parentId?: bigint })[]) => {
    const { db } = world
    const told = drafts.map((draft) => ({ parentId: id, ...draft }))
    for (const answer of await bookReturns(
      { db, refundFee: 'keep', returnFee: 'keep' },
      JANE,
      told,
    )) {
      assert.equal(answer.kind, 'booked')
    }
  }
  return { world, id, returned, missing, listed, names, book }
}

for (const shards of [1, 4]) {
  test(`what came back at a gateway and is not booked is found once it is an hour old, of ${shards} shards`, async (t) => {
    const { world, id, returned, missing, book } = await shop(t, shards)
    const one = returned('rt_1')
    const found = [`${RULE} ${id}`]
    world.clock.advance(HOUR_MS)
    assert.deepEqual(await missing(one), [], 'a notice may be on its way')
    world.clock.advance(1)
    assert.deepEqual(await missing(one), found)
    assert.deepEqual(await missing(returned('rt_2', { at: null })), found, 'it may be of any age')
    await book(back('rt_1', 100n))
    assert.deepEqual(await missing(one), [])
    // Somebody takes it out of the books.
    await world.sql(`update payment_children set ref = 'other' where ref = 'rt_1'`)
    await world.sql(`update payments set gateway_ref = 'other' where type = 'return'`)
    assert.deepEqual(await missing(one), found)
  })
}

test('what is looked at within the hour, or later than that, is left out, or found', async (t) => {
  const { world, id, returned, missing } = await shop(t)
  const one = returned('rt_1')
  world.clock.advance(2 * HOUR_MS)
  const route = { gateway: 'http', operation: 'charge' } as const
  assert.equal(await watchNoticed(world.db.of(id), id, route), true)
  assert.deepEqual(await missing(one), [])
  await world.sql(`update payment_watches set run_at = run_at + interval '2 hours'`)
  assert.deepEqual(await missing(one), [`${RULE} ${id}`])
  await world.sql('update payment_watches set leased = true')
  assert.deepEqual(await missing(one), [])
})

test('a payment that the list names by its gateway’s reference alone is found by that', async (t) => {
  const { world, id, returned, missing } = await shop(t, 4)
  const one = returned('dp_1', { paymentId: null, parentRef: 'pi_1' })
  world.clock.advance(2 * HOUR_MS)
  assert.deepEqual(await missing(one), [], 'it is none of ours')
  await world.sql(
    `insert into gateway_refs select shard, 'http', 'pi_1', id from payments where id = $1`,
    [id],
  )
  assert.deepEqual(await missing(one), [`${RULE} ${id}`])
})

test('of several payments that are called the same it is enough that one has what came back', async (t) => {
  const { world, id, returned, missing, book } = await shop(t, 2)
  const { id: other } = await done(world)
  assert.notEqual(world.db.of(id), world.db.of(other), 'users are in turn')
  await world.sql(
    `insert into gateway_refs
     select shard, 'http', 'pi_1', id from payments where id = any ($1)`,
    [[id, other]],
  )
  const one = returned('dp_1', { paymentId: null, parentRef: 'pi_1' })
  world.clock.advance(2 * HOUR_MS)
  const both = [id, other].map((of) => `${RULE} ${of}`).toSorted()
  assert.deepEqual((await missing(one)).toSorted(), both)
  await book(back('dp_1', 100n))
  assert.deepEqual(await missing(one), [])
  const won = { ...one, ref: 'dp_1:won', undoes: 'dp_1' }
  assert.deepEqual(await missing(won), [`${RULE} ${id}`], 'where it is that was taken')
})

test('a refund of ours is no return, and what undoes a return matters if that is booked', async (t) => {
  const { world, id, returned, missing, book } = await shop(t)
  const refund = await refunded(world, id, '10')
  await world.work()
  const won = returned('dp_1:won', { undoes: 'dp_1' })
  const ours = returned(`gw-${refund}`)
  world.clock.advance(2 * HOUR_MS)
  assert.deepEqual(await missing(ours, won), [])
  await book(back('dp_1', 100n))
  assert.deepEqual(await missing(won), [`${RULE} ${id}`])
  await book(back('dp_1:won', 100n, 'dispute_won'))
  assert.deepEqual(await missing(won), [])
})

test('a return that is booked as another one, or as another amount, than its gateway tells is found', async (t) => {
  const { world, id, returned, missing, book } = await shop(t)
  const found = [`${DIFFERS} ${id}`]
  await book(back('rt_1', 1_000n))
  world.clock.advance(2 * HOUR_MS)
  const whole = { kind: 'charged_back', amount: '10.000', currency: 'USD' } as const
  for (const same of [
    whole,
    { ...whole, amount: 10 },
    // It moves the same money, and no act changes it.
    { ...whole, kind: 'refunded_there' },
    { kind: null },
    { amount: 'ten' },
    {},
  ] as const) {
    assert.deepEqual(
      await missing(returned('rt_1', { ...AGED, ...same })),
      [],
      JSON.stringify(same),
    )
  }
  for (const other of [
    { amount: 100 },
    { amount: '9.99' },
    { kind: 'dispute_won' },
    { ...whole, kind: 'payout_returned' },
  ] as const) {
    assert.deepEqual(
      await missing(returned('rt_1', { ...AGED, ...other })),
      found,
      JSON.stringify(other),
    )
  }
  // Of another gateway's payment nothing is known here, whatever it says.
  await world.sql(`update payments set gateway = 'bank'`)
  assert.deepEqual(await missing(returned('rt_1', { ...AGED, amount: 100 })), [])
})

test('a return that is booked and that its gateway does not list is found', async (t) => {
  const { world, id, returned, missing, listed, names, book } = await shop(t)
  await book(back('typo', 100n), back('dp_1', 100n), back('dp_1:won', 100n, 'dispute_won'))
  const dispute = { undoes: 'dp_1', kind: 'dispute_won', amount: 1 } as const
  const won = returned('dp_1:won', { ...AGED, ...dispute })
  assert.deepEqual(await listed(SAID_KINDS, won), [], 'the list may be from before')
  world.clock.advance(2 * HOUR_MS)
  const [typo] = await world.sql<{ id: bigint }>(
    "select id from payments where gateway_ref = 'typo'",
  )
  const found = [`gateway_return_missing_there ${typo?.id}`]
  assert.deepEqual(await listed(SAID_KINDS, won), found)
  assert.deepEqual(await missing(won), [], 'the list does not tell returns')
  assert.deepEqual(await listed(['refunded_there'], won), [], 'nor all of this kind')
  // It is listed, of a payment that is not ours.
  const elsewhere = { ...AGED, paymentId: id + 1_000n }
  assert.deepEqual(await listed(SAID_KINDS, won, returned('typo', elsewhere)), found)
  assert.deepEqual(await listed(SAID_KINDS, won, returned('typo', AGED)), [])
  const unknown = { ...AGED, paymentId: null, parentRef: 'pi_unknown' }
  assert.deepEqual(await listed(SAID_KINDS, won, returned('typo', unknown)), [])
  names.push('typo')
  assert.deepEqual(await listed(SAID_KINDS, won), [], 'what is told as nothing may be booked')
})

test('a return in another currency is found where the gateway was told one', async (t) => {
  const { world, id, returned, missing, book } = await shop(t)
  await book(back('rt_1', 1_000n))
  world.clock.advance(2 * HOUR_MS)
  const euros = returned('rt_1', { ...AGED, amount: 10, currency: 'EUR' })
  assert.deepEqual(await missing(euros), [], 'it takes euros for what is ours')
  await world.sql(`update payments set currency = 'KWD'`)
  await world.sql(`update users set currency = 'KWD'`)
  const dinars = { ...AGED, amount: '1.000', currency: 'KWD' }
  assert.deepEqual(await missing(returned('rt_1', dinars)), [])
  assert.deepEqual(await missing(returned('rt_1', { ...dinars, currency: 'EUR' })), [
    `${DIFFERS} ${id}`,
  ])
})

test('of several payments that are called the same it is enough that one has as much booked', async (t) => {
  const { world, id, returned, missing, book } = await shop(t, 2)
  const { id: other } = await done(world)
  await world.sql(
    `insert into gateway_refs
     select shard, 'http', 'pi_1', id from payments where id = any ($1)`,
    [[id, other]],
  )
  const about = { ...AGED, paymentId: null, parentRef: 'pi_1', amount: 1 }
  await book(back('dp_1', 1_000n))
  world.clock.advance(2 * HOUR_MS)
  assert.deepEqual(await missing(returned('dp_1', about)), [`${DIFFERS} ${id}`])
  await book({ ...back('dp_1', 100n), parentId: other })
  assert.deepEqual(await missing(returned('dp_1', about)), [])
})

test('the lists of the sandbox and of its Stripe face tell what came back', async (t) => {
  const server = await serveMock(t)
  const order = { paymentId: 1, userId: 1, amount: 10_000n, commission: 0n } as const
  server.mock.pay({ ...order, key: 'k', type: 'deposit' })
  const made = server.mock.comeBack('charged_back', 1, 100n)
  assert.ok(made?.ok === true)
  const { returns = [] } = await httpCharges(server.url)(0)
  assert.deepEqual(
    returns.map(({ at, ...told }) => [told, at instanceof Date]),
    [
      [
        {
          paymentId: 1n,
          parentRef: null,
          ref: 'rt_00000001',
          kind: 'charged_back',
          amount: 1,
          currency: null,
        },
        true,
      ],
    ],
  )
  const url = `${server.url}/stripe`
  const post = async (path: string, fields: Record<string, string>) => {
    const headers = { authorization: `Bearer ${SECRET_KEY}` }
    const body = new URLSearchParams(fields)
    const answer = await fetch(`${url}/v1/${path}`, { method: 'POST', headers, body })
    // Whatever it answers is read field by field.
    return (await answer.json()) as { id: string }
  }
  const intent = await post('payment_intents', {
    amount: '2050',
    currency: 'usd',
    confirm: 'true',
    off_session: 'true',
    payment_method: 'pm_card_visa',
    'automatic_payment_methods[enabled]': 'true',
    'automatic_payment_methods[allow_redirects]': 'never',
    'metadata[payments_payment_id]': '7',
    'metadata[payments_key]': 'k',
  })
  const own = { 'metadata[payments_payment_id]': '8', 'metadata[payments_key]': 'r' }
  await post('refunds', { payment_intent: intent.id, amount: '10', ...own })
  const refund = await post('refunds', { payment_intent: intent.id, amount: '20' })
  const dispute = await post(`test_helpers/payment_intents/${intent.id}/dispute`, { amount: '30' })
  const list = stripeCharges(url, SECRET_KEY)
  const told: GatewayReturn[] = []
  for (let after: number | null = 0; after !== null;) {
    const page: Awaited<ReturnType<ListCharges>> = await list(after)
    told.push(...(page.returns ?? []))
    after = page.next
  }
  assert.deepEqual(
    told.map(({ parentRef, ref, kind, amount, currency }) => {
      return [parentRef, ref, kind, amount, currency]
    }),
    [
      [intent.id, refund.id, 'refunded_there', '0.2', 'USD'],
      [intent.id, dispute.id, 'charged_back', '0.3', 'USD'],
    ],
  )
})
