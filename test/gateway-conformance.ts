import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import type { Faults } from '../src/mock-gateway/faults.ts'
import type { MockGateway } from '../src/mock-gateway/server.ts'
import type { Evidence, Gateway } from '../src/ports.ts'
import { floods, notices } from './conformance-notices.ts'
import { totalTable } from './conformance-table.ts'
import { overTime } from './conformance-time.ts'
import type { Behaviour, Conform, Conformer } from './conformer.ts'
import { FAULTS_NONE } from './mock-server.ts'

export const REQUEST: GatewayOperation = {
  key: 'conform_1',
  paymentId: 1n,
  userId: 2n,
  amount: 20_050n,
  commission: 401n,
  currency: 'USD',
  exponent: 2,
  kind: 'charge',
}

const REFUND: GatewayOperation = {
  ...REQUEST,
  key: 'conform_2',
  paymentId: 2n,
  amount: 50n,
  commission: 0n,
  kind: 'refund',
  parent: { paymentId: 1n, gatewayRef: null },
}

const AMOUNTS = [1n, 10n, 99n, 100n, 20_050n, 999_999_999_999n]

/** The faults of the mock gateway that make it behave so. */
const BEHAVIOURS: Readonly<Record<Behaviour, Partial<Faults>>> = {
  accept: {},
  decline: { decline: 1 },
  lose_reply: { reset_after: 1 },
  fail: { error_before: 1 },
  refuse: { rejected: 1 },
  disown: { wrong_credential: 1 },
  take: { pending: 1 },
}

/** The mock gateway as it is told to behave, in whatever words it is asked. */
export function behaving(mock: MockGateway): Conformer['behave'] {
  return (how, lateMs = 60_000) => {
    mock.setFaults({ ...FAULTS_NONE, ...BEHAVIOURS[how], late_ms: lateMs })
  }
}

/** A driver that is given every operation with what its gateway needs beside it. */
export function dressedAs(
  dress: (operation: GatewayOperation) => GatewayOperation,
  gateway: Gateway,
): Gateway {
  return {
    ...gateway,
    execute: (operation, signal) => gateway.execute(dress(operation), signal),
    lookup: (operation, signal) => gateway.lookup(dress(operation), signal),
  }
}

type Make = (t: TestContext) => Promise<Conformer>

/**
 * What any driver of the `Gateway` port must do. Tests that the declared profile does not promise
 * are skipped, so a profile that promises too much fails here and not in production.
 */
export function gatewayConformance(name: string, makeGateway: Make): void {
  const conform: Conform = (what, body) => {
    void test(`${name}: ${what}`, async (t) => void (await body(await makeGateway(t), t)))
  }

  charges(conform)
  repeats(conform)
  lookups(conform)
  refunds(conform)
  ends(conform)
  totalTable(conform)
  overTime(conform)
  notices(conform)
  floods(conform)
}

function charges(conform: Conform): void {
  conform('deposits and withdrawals of any amount succeed', async (made) => {
    const { gateway, charged } = made
    const amounts = made.amounts ?? AMOUNTS
    for (const [at, amount] of amounts.entries()) {
      const kind = at % 2 === 0 ? 'charge' : 'payout'
      const paymentId = BigInt(at + 1)
      const request = { ...REQUEST, key: `amount_${at}`, paymentId, amount, kind } as const
      const seen = await gateway.execute(request)
      assert.equal(seen.outcome.kind, 'success')
      assert.equal(seen.sent, true)
      assert.equal(charged(paymentId), 1)
    }
  })

  conform('a decline is a decline, and charges nothing', async ({ gateway, behave, charged }) => {
    behave('decline')
    const { outcome } = await gateway.execute(REQUEST)
    assert.equal(outcome.kind, 'declined')
    if (outcome.kind === 'declined') assert.match(outcome.reason, /^[a-z0-9_]{1,40}$/)
    assert.equal(charged(REQUEST.paymentId), 0)
  })

  conform('a failure of the gateway is in doubt', async ({ gateway, behave }) => {
    behave('fail')
    const seen = await gateway.execute(REQUEST)
    assert.equal(seen.outcome.kind, 'in_doubt')
    assert.equal(seen.sent, true)
  })

  conform('a refused request is no decline, and charges nothing', async (made) => {
    made.behave('refuse')
    const { outcome } = await made.gateway.execute(REQUEST)
    assert.equal(outcome.kind, 'rejected')
    assert.equal(made.charged(REQUEST.paymentId), 0)
    made.behave('accept')
    assert.equal((await made.gateway.execute(REQUEST)).outcome.kind, 'success')
  })

  conform('a wrong credential says nothing of the payment', async (made) => {
    made.behave('disown')
    const seen = await made.gateway.execute(REQUEST)
    assert.equal(seen.outcome.kind, 'misconfigured')
    assert.equal(seen.httpStatus, 401)
    assert.equal(made.charged(REQUEST.paymentId), 0)
    made.behave('accept')
    assert.equal((await made.gateway.execute(REQUEST)).outcome.kind, 'success')
  })

  conform('what is taken and not finished is pending', async (made) => {
    made.behave('take')
    assert.equal((await made.gateway.execute(REQUEST)).outcome.kind, 'pending')
    assert.equal(made.charged(REQUEST.paymentId), 0)
    if (made.gateway.profile.lookup === 'none') return
    assert.equal((await made.gateway.lookup(REQUEST)).outcome.kind, 'pending')
  })

  conform('a lost reply is in doubt, never a failure', async ({ gateway, behave, charged }) => {
    behave('lose_reply')
    const seen = await gateway.execute(REQUEST)
    assert.equal(seen.outcome.kind, 'in_doubt')
    assert.equal(charged(REQUEST.paymentId), 1)
  })
}

function repeats(conform: Conform): void {
  conform('the same key charges once and answers the same', async (made, t) => {
    if (made.gateway.profile.repeats !== 'first_answer') return t.skip('not promised')
    const first = await made.gateway.execute(REQUEST)
    assert.deepEqual(await made.gateway.execute(REQUEST), first)
    assert.equal(made.charged(REQUEST.paymentId), 1)
  })

  conform('the same key charges once when sent at once', async (made, t) => {
    if (made.gateway.profile.repeats !== 'first_answer') return t.skip('not promised')
    const calls = Array.from({ length: 25 }, () => made.gateway.execute(REQUEST))
    const kinds = new Set((await Promise.all(calls)).map(({ outcome }) => outcome.kind))
    assert.ok(kinds.has('success'))
    // A gateway may answer "in progress", which says nothing. It may not say no.
    assert.ok(!kinds.has('declined') && !kinds.has('not_executed'))
    assert.equal(made.charged(REQUEST.paymentId), 1)
  })

  conform('a charge whose reply was lost is not charged again', async (made, t) => {
    if (made.gateway.profile.repeats !== 'first_answer') return t.skip('not promised')
    made.behave('lose_reply')
    await made.gateway.execute(REQUEST)
    made.behave('accept')
    assert.equal((await made.gateway.execute(REQUEST)).outcome.kind, 'success')
    assert.equal(made.charged(REQUEST.paymentId), 1)
  })

  conform('a decline is replayed, even when it would be accepted now', async (made, t) => {
    if (made.gateway.profile.repeats !== 'first_answer') return t.skip('not promised')
    made.behave('decline')
    const first = await made.gateway.execute(REQUEST)
    made.behave('accept')
    assert.deepEqual(await made.gateway.execute(REQUEST), first)
    assert.equal(made.charged(REQUEST.paymentId), 0)
  })

  conform('the key of one charge does not charge another', async (made, t) => {
    if (made.gateway.profile.repeats !== 'first_answer') return t.skip('not promised')
    await made.gateway.execute(REQUEST)
    const other = { ...REQUEST, paymentId: 9n, amount: 1n }
    assert.notEqual((await made.gateway.execute(other)).outcome.kind, 'success')
    assert.equal(made.charged(9n), 0)
  })
}

function lookups(conform: Conform): void {
  conform('a lookup tells of a success, with the same reference', async (made, t) => {
    if (made.gateway.profile.lookup === 'none') return t.skip('not promised')
    const charged = await made.gateway.execute(REQUEST)
    const found = await made.gateway.lookup(REQUEST)
    assert.deepEqual(wordOf(found), wordOf(charged))
  })

  conform('a lookup tells of a decline', async (made, t) => {
    if (made.gateway.profile.lookup === 'none') return t.skip('not promised')
    made.behave('decline')
    await made.gateway.execute(REQUEST)
    assert.equal((await made.gateway.lookup(REQUEST)).outcome.kind, 'declined')
  })

  conform('a lookup finds the charge whose reply was lost', async (made, t) => {
    if (made.gateway.profile.lookup !== 'consistent') return t.skip('not promised')
    made.behave('lose_reply')
    await made.gateway.execute(REQUEST)
    assert.equal((await made.gateway.lookup(REQUEST)).outcome.kind, 'success')
  })

  conform('a lookup does not find what was never charged', async (made, t) => {
    if (made.gateway.profile.lookup === 'none') return t.skip('not promised')
    assert.deepEqual((await made.gateway.lookup(REQUEST)).outcome, { kind: 'not_found' })
    made.behave('fail')
    await made.gateway.execute(REQUEST)
    assert.equal((await made.gateway.lookup(REQUEST)).outcome.kind, 'not_found')
  })
}

/** Charge, and make ready the refund of it. */
async function chargedFirst(gateway: Gateway): Promise<GatewayOperation> {
  const { outcome } = await gateway.execute(REQUEST)
  if (outcome.kind !== 'success') throw new Error(outcome.kind)
  return { ...REFUND, parent: { paymentId: 1n, gatewayRef: outcome.gatewayRef } }
}

/** What both a charge and a lookup of it tell of a success. */
function wordOf({ outcome }: Evidence<ChargeOutcome | LookupOutcome>) {
  const { kind } = outcome
  return { kind, gatewayRef: 'gatewayRef' in outcome ? outcome.gatewayRef : null }
}

function refunds(conform: Conform): void {
  conform('a refund gives back once under its key, and is told by lookups', async (made, t) => {
    if (made.gateway.profile.repeats !== 'first_answer') return t.skip('not promised')
    const { gateway } = made
    const refund = await chargedFirst(gateway)
    const first = await gateway.execute(refund)
    assert.equal(first.outcome.kind, 'success')
    assert.deepEqual(await gateway.execute(refund), first)
    assert.equal(made.charged(2n), 1)
    assert.equal(made.charged(1n), 1)
    if (gateway.profile.lookup === 'none') return
    assert.deepEqual(wordOf(await gateway.lookup(refund)), wordOf(first))
  })

  conform('a refund whose reply was lost is in doubt, and is not made again', async (made, t) => {
    if (made.gateway.profile.repeats !== 'first_answer') return t.skip('not promised')
    const refund = await chargedFirst(made.gateway)
    made.behave('lose_reply')
    assert.equal((await made.gateway.execute(refund)).outcome.kind, 'in_doubt')
    made.behave('accept')
    assert.equal((await made.gateway.execute(refund)).outcome.kind, 'success')
    assert.equal(made.charged(2n), 1)
  })

  conform('no more is refunded than was charged', async ({ gateway, charged }) => {
    const refund = await chargedFirst(gateway)
    const whole = { ...refund, amount: REQUEST.amount }
    assert.equal((await gateway.execute(whole)).outcome.kind, 'success')
    const more = { ...refund, key: 'conform_3', paymentId: 3n, amount: 1n }
    // Some decline it, others refuse such a request.
    assert.match((await gateway.execute(more)).outcome.kind, /^(declined|rejected)$/)
    assert.equal(charged(3n), 0)
  })
}

function ends(conform: Conform): void {
  conform('nobody listening is not executed, not sent, and no exception', async ({ dead }) => {
    const seen = await dead.execute(REQUEST)
    assert.equal(seen.outcome.kind, 'not_executed')
    assert.equal(seen.sent, false)
    assert.equal((await dead.lookup(REQUEST)).outcome.kind, 'no_answer')
  })

  conform('a call aborted before it begins is not sent', async ({ gateway, charged }) => {
    const seen = await gateway.execute(REQUEST, AbortSignal.abort())
    assert.equal(seen.outcome.kind, 'not_executed')
    assert.equal(seen.sent, false)
    assert.equal((await gateway.lookup(REQUEST, AbortSignal.abort())).outcome.kind, 'no_answer')
    assert.equal(charged(REQUEST.paymentId), 0)
  })

  conform('a closed gateway charges nothing and does not throw', async ({ gateway, charged }) => {
    await gateway.close()
    assert.equal((await gateway.execute(REQUEST)).outcome.kind, 'not_executed')
    assert.equal((await gateway.lookup(REQUEST)).outcome.kind, 'no_answer')
    assert.equal(charged(REQUEST.paymentId), 0)
    await gateway.close()
  })
}
