import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Answer, PaymentDraft } from '../src/domain/acceptance.ts'
import { shownBreaker } from '../src/domain/breaker.ts'
import type { AdmissionRefusal } from '../src/domain/admission.ts'
import { UNROUTED } from '../src/domain/routing.ts'
import type { Operation } from '../src/domain/payment.ts'
import type { SharedBreaker } from '../src/gateways/breaker-store.ts'
import type { Admission } from '../src/payments/admission.ts'
import { GatewayUnavailable, Overloaded } from '../src/ports.ts'
import { admitting, routeProbes } from '../src/process/load-gate.ts'

const draft = (type: PaymentDraft['type'], amount: bigint): PaymentDraft => ({
  type,
  userId: 1n,
  amount,
  idempotencyKey: null,
})

/** A gate that knows what it is told. */
function gateOf(known: {
  readonly refusals?: Partial<Record<Operation, AdmissionRefusal>>
  readonly breakers?: Partial<Record<Operation, Partial<SharedBreaker>>>
}): Admission {
  return {
    refusal: ({ operation }) => known.refusals?.[operation] ?? null,
    breaker: ({ operation }) =>
      shownBreaker(known.breakers?.[operation] as SharedBreaker | undefined),
    workedMs: () => 7,
    look: () => Promise.resolve(),
    turn: () => Promise.resolve(),
  }
}

/** Answers name their draft by its amount. */
function accepts() {
  const seen: bigint[][] = []
  const answerOf = ({ amount }: PaymentDraft) => ({ kind: 'answer', amount }) as unknown as Answer
  return {
    seen,
    accept: (one: PaymentDraft) => {
      seen.push([one.amount])
      return Promise.resolve(answerOf(one))
    },
    acceptAll: (drafts: readonly PaymentDraft[]) => {
      seen.push(drafts.map(({ amount }) => amount))
      return Promise.resolve(drafts.map(answerOf))
    },
  }
}

test('a payment is refused by its own operation alone, and then nothing sees it', async () => {
  const own = accepts()
  const { accept } = admitting(own, gateOf({ refusals: { payout: 'overloaded' } }), UNROUTED)
  await assert.rejects(accept(draft('withdraw', 1n)), Overloaded)
  assert.deepEqual(own.seen, [])
  assert.deepEqual(await accept(draft('deposit', 2n)), { kind: 'answer', amount: 2n })
})

test('in a batch each draft has its own answer or refusal, in order', async () => {
  const own = accepts()
  const { acceptAll } = admitting(
    own,
    gateOf({ refusals: { charge: 'gateway_unavailable' } }),
    UNROUTED,
  )
  const batch = [
    draft('deposit', 1n),
    draft('withdraw', 2n),
    draft('deposit', 3n),
    draft('withdraw', 4n),
    draft('withdraw', 5n),
  ]
  const away = new GatewayUnavailable()
  assert.deepEqual(await acceptAll(batch), [
    away,
    { kind: 'answer', amount: 2n },
    away,
    { kind: 'answer', amount: 4n },
    { kind: 'answer', amount: 5n },
  ])
  assert.deepEqual(own.seen, [[2n, 4n, 5n]])
})

const BREAKERS: readonly (readonly [
  shared: Partial<SharedBreaker> | undefined,
  state: string,
  misconfigured: boolean,
])[] = [
  [undefined, 'closed', false],
  [{ trips: 0, openMs: 0, cause: null }, 'closed', false],
  [{ trips: 1, openMs: 1, cause: 'charges' }, 'open', false],
  [{ trips: 2, openMs: 0, cause: 'misconfigured' }, 'half_open', true],
]

test('a breaker is open while its pause lasts, then half open, and closed without a trip', () => {
  for (const [shared, state, misconfigured] of BREAKERS) {
    const known = shared === undefined ? {} : { charge: { ...shared, reason: 'why' } }
    const probes = routeProbes(['http'], gateOf({ breakers: known }))
    assert.equal(probes.workedMs(), 7)
    const [charge, payout] = probes.routes()
    const reason = shared === undefined ? null : 'why'
    assert.deepEqual(
      [charge?.operation, charge?.breaker, charge?.misconfigured, charge?.reason],
      ['charge', state, misconfigured, reason],
    )
    assert.deepEqual(
      [payout?.operation, payout?.breaker, payout?.reason],
      ['payout', 'closed', null],
    )
  }
})
