import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Exponent } from '../src/domain/currency.ts'
import { wentBack } from '../src/gateways/http-back.ts'

const USD = (exponent: Exponent) => ({ exponent, currency: 'USD' })

const RETURN = { gateway_ref: 'rt_1', kind: 'charged_back', amount: '10.000', at: '2026-11-26' }

test('a lookup tells what was refunded and what came back, in exact amounts', () => {
  const at = new Date('2026-11-26')
  assert.deepEqual(wentBack({ refunded: 0.1, returns: [RETURN] }, USD(2)), {
    refunded: 10n,
    returns: [{ ref: 'rt_1', kind: 'charged_back', amount: 1_000n, at }],
  })
  for (const kind of ['payout_returned', 'refunded_there', 'dispute_won']) {
    const [told] =
      wentBack({ returns: [{ ...RETURN, kind, at: 'some day' }] }, USD(2)).returns ?? []
    assert.deepEqual([told?.kind, told?.at], [kind, null])
  }
  assert.deepEqual(wentBack({ refunded: 7, returns: [{ ...RETURN, amount: 5 }] }, USD(0)), {
    refunded: 7n,
    returns: [{ ref: 'rt_1', kind: 'charged_back', amount: 5n, at }],
  })
})

test('a return that is not whole is told as that, and does not hide the others', () => {
  const broken = [
    [null, null, 'ref_unreadable'],
    [[], null, 'ref_unreadable'],
    [{}, null, 'ref_unreadable'],
    [{ ...RETURN, gateway_ref: 7 }, null, 'ref_unreadable'],
    [{ ...RETURN, gateway_ref: '\u0000' }, null, 'ref_unreadable'],
    [{ ...RETURN, kind: 'gone' }, 'rt_1', 'kind_unknown'],
    [{ ...RETURN, kind: 'constructor' }, 'rt_1', 'kind_unknown'],
    [{ ...RETURN, currency: 'EUR' }, 'rt_1', 'currency_differs'],
    [{ ...RETURN, currency: 978 }, 'rt_1', 'currency_differs'],
    [{ ...RETURN, amount: '0.001' }, 'rt_1', 'amount_unreadable'],
    [{ ...RETURN, amount: -1 }, 'rt_1', 'amount_unreadable'],
    [{ ...RETURN, amount: 0 }, 'rt_1', 'amount_unreadable'],
  ] as const
  for (const [one, ref, code] of broken) {
    const unread = [{ ref, code }]
    assert.deepEqual(wentBack({ returns: [one] }, USD(2)), { unread }, JSON.stringify(one))
    const both = wentBack({ returns: [one, RETURN] }, USD(2))
    assert.deepEqual([both.returns?.length, both.unread], [1, unread])
  }
  for (const currency of ['USD', null, undefined]) {
    assert.equal(wentBack({ returns: [{ ...RETURN, currency }] }, USD(2)).returns?.length, 1)
  }
  for (const returns of [null, {}, 'x', 7]) assert.deepEqual(wentBack({ returns }, USD(2)), {})
  for (const refunded of [null, '1.001', -1, 'x', {}])
    assert.deepEqual(wentBack({ refunded }, USD(2)), {})
})
