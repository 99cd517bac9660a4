import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideBatch, type Books, type PaymentDraft, type Terms } from '../src/domain/acceptance.ts'
import type { GatewayProfile } from '../src/domain/gateway-profile.ts'
import { parseRoutes, routing, UNROUTED } from '../src/domain/routing.ts'
import { profileOf } from './profiles.ts'

const PROMISES = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' } as const

const profiles = (more: Record<string, Partial<GatewayProfile>>) =>
  new Map(Object.entries(more).map(([name, own]) => [name, profileOf(PROMISES, own)]))

const BOTH = profiles({
  http: {},
  bank: { operations: new Set(['payout'] as const), currencies: new Map([['EUR', 2]]) },
})

test('the first rule counts that fits and whose gateway can do it', () => {
  const routes = routing(BOTH, parseRoutes('*:*=bank,deposit:EUR=bank,*=http') ?? null)
  assert.equal(routes.to('withdraw', 'EUR'), 'bank')
  assert.equal(routes.to('deposit', 'EUR'), 'http')
  assert.equal(routes.to('withdraw', 'USD'), 'http')
  assert.equal(routes.always, null)
  assert.deepEqual(routes.of('withdraw', 'EUR'), ['http', 'bank'])
})

test('without rules payments go to the first gateway that can do it', () => {
  assert.equal(routing(BOTH, null).always, 'http')
  const other = new Map([...BOTH].toReversed())
  assert.deepEqual(
    [routing(other, null).to('withdraw', 'EUR'), routing(other, null).to('deposit', 'USD')],
    ['bank', 'http'],
  )
  assert.equal(
    routing(profiles({ bank: { currencies: new Map() } }), null).to('deposit', 'USD'),
    null,
  )
})

for (const [only, other] of [
  ['charge', 'withdraw'],
  ['payout', 'deposit'],
] as const) {
  test(`a first gateway that makes each ${only} gets no ${other}`, () => {
    const part = profiles({ bank: { operations: new Set([only]) }, http: {} })
    for (const rules of [null, parseRoutes('*=bank,*=http') ?? null]) {
      const routes = routing(part, rules)
      assert.deepEqual([routes.always, routes.to(other, 'USD')], [null, 'http'])
    }
  })
}

const HOME: Terms = { currency: 'USD', exponent: 2, fee: { bps: 200, min: 0n } }

function decided(draft: Partial<PaymentDraft>, gateways: Books['gateways']) {
  const whole = { type: 'deposit', userId: 1n, amount: 1_000n, idempotencyKey: null, ...draft }
  const books = { available: new Map([[1n, 0n]]), earlier: new Map(), ids: [1n, 2n] }
  const drafts = [whole as PaymentDraft]
  const [answer] = decideBatch(
    drafts,
    gateways === undefined ? books : { ...books, gateways },
    HOME,
  ).answers
  assert.ok(answer)
  return answer
}

test('a payment goes to the gateway that it names, or is refused with those that take it', () => {
  const routes = routing(BOTH, null)
  const open = { routing: routes, closed: () => null }
  const named = decided({ gateway: 'http' }, open)
  assert.equal(named.kind === 'accepted' && named.payment.gateway, 'http')
  for (const gateway of ['bank', 'nobody']) {
    const answer = decided({ gateway }, open)
    assert(answer.kind === 'refused')
    assert.deepEqual(answer.refusal, {
      code: 'gateway_unknown',
      faults: [{ field: 'gateway', code: 'unknown' }],
      gateways: ['http'],
    })
  }
})

test('a payment that no gateway takes, or whose route is closed, is refused', () => {
  const nowhere = routing(profiles({ bank: { currencies: new Map() } }), null)
  const none = decided({}, { routing: nowhere, closed: () => null })
  assert.equal(none.kind === 'refused' && none.refusal.code, 'no_route')
  const closed = decided({}, { routing: UNROUTED, closed: () => 'gateway_unavailable' })
  assert.equal(closed.kind === 'refused' && closed.refusal.code, 'gateway_unavailable')
})

test('a repeated key that names another gateway is another request', () => {
  const routes = routing(profiles({ http: {}, second: {} }), null)
  const gateways = { routing: routes, closed: () => null }
  const books = { available: new Map([[1n, 0n]]), earlier: new Map(), ids: [1n, 2n], gateways }
  const draft: PaymentDraft = { type: 'deposit', userId: 1n, amount: 1_000n, idempotencyKey: 'k' }
  const batch = [draft, { ...draft, gateway: 'http' }, { ...draft, gateway: 'second' }]
  const kinds = decideBatch(batch, books, HOME).answers.map((answer) =>
    answer.kind === 'accepted' ? answer.replayed : answer.refusal.faults,
  )
  assert.deepEqual(kinds, [false, true, [{ field: 'gateway', code: 'differs' }]])
})
