import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Exponent } from '../src/domain/currency.ts'
import { wentBack } from '../src/gateways/http-back.ts'
import { readBody, type HttpOrder } from '../src/gateways/http-reply.ts'

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

test('a return that has a key twice has two meanings, so that nothing of it is believed', () => {
  const about = { amount: 10_000n, commission: 0n, paymentId: 7n, userId: 1n, key: 'k' }
  const order: HttpOrder = { ...USD(2), ...about, type: 'deposit' }
  const read = (returns: string, around = '') => {
    const body = Buffer.from(`{"status":"success"${around},"returns":${returns}}`)
    const { shape, fields } = readBody(body, order)
    assert.equal(shape, 'success')
    return wentBack(fields ?? {}, USD(2))
  }
  const whole = '{"gateway_ref":"a","kind":"charged_back","amount":"1"}'
  const twice = '{"gateway_ref":"b","kind":"charged_back","amount":1,"amount":90}'
  const escaped = String.raw`{"gateway_ref":"c","gateway_r\u0065f":"d","kind":"charged_back","amount":1}`
  const unread = [{ ref: null, code: 'ref_unreadable' }]
  for (const odd of [twice, escaped]) {
    for (const rows of [`${whole},${odd}`, `${odd},${whole}`, `7,[${twice}],${odd}, ${whole} `]) {
      const told = read(`[${rows}]`)
      assert.deepEqual(
        told.returns?.map(({ ref }) => ref),
        ['a'],
        rows,
      )
      assert.deepEqual(told.unread?.slice(-1), unread)
    }
  }
  // In an object of another object it is another key, and text is no key.
  const nested = `{"gateway_ref":"a","kind":"charged_back","amount":1,"of":{"amount":2,"kind":3},
    "note":"{\\"amount\\":3,:}"}`
  assert.equal(read(`[${nested}]`).returns?.length, 1)
  const around = `,"before":[{"a":1,"a":2}],"text":"returns","more":{"returns":[${twice}]}`
  assert.equal(read(`[${whole}]`, around).returns?.length, 1)
  assert.deepEqual(read(`{"x":{"y":${twice}}}`), {})
  const renamed = Buffer.from(String.raw`{"status":"success","r\u0065turns":[${twice}]}`)
  const { fields } = readBody(renamed, order)
  assert.deepEqual(wentBack(fields ?? {}, USD(2)), { unread })
})
