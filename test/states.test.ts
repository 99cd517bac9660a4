import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isOpen,
  shownStatus,
  transactionStatus,
  TRANSITIONS,
  type PaymentStatus,
  type StoredStatus,
} from '../src/domain/payment.ts'

const STATUSES: readonly StoredStatus[] = ['new', 'unknown', 'success', 'failed']

/** The diagram of ARCHITECTURE.md; `new` to `new` is a retry, which changes no status. */
const LEGAL = new Set([
  'new>success',
  'new>failed',
  'new>unknown',
  'unknown>success',
  'unknown>failed',
  'unknown>new',
])

for (const from of STATUSES) {
  for (const to of STATUSES) {
    const legal = LEGAL.has(`${from}>${to}`)
    test(`${from} ${legal ? 'may become' : 'never becomes'} ${to}`, () => {
      assert.equal(TRANSITIONS[from].includes(to), legal)
    })
  }
}

test('success and failed are final, and nothing else is', () => {
  assert.deepEqual(STATUSES.filter(isOpen), ['new', 'unknown'])
  assert.deepEqual(TRANSITIONS.success, [])
  assert.deepEqual(TRANSITIONS.failed, [])
})

test('every open status can still reach both final ones', () => {
  for (const status of STATUSES.filter(isOpen)) {
    assert.ok(TRANSITIONS[status].includes('success'), 'TRANSITIONS[status].includes(success)')
    assert.ok(TRANSITIONS[status].includes('failed'), 'TRANSITIONS[status].includes(failed)')
  }
})

const SHOWN: readonly (readonly [StoredStatus, leased: boolean, PaymentStatus, string])[] = [
  ['new', false, 'new', 'processing'],
  ['new', true, 'processing', 'processing'],
  ['unknown', false, 'unknown', 'processing'],
  ['unknown', true, 'unknown', 'processing'],
  ['success', false, 'success', 'success'],
  ['success', true, 'success', 'success'],
  ['failed', false, 'failed', 'failed'],
  ['failed', true, 'failed', 'failed'],
]

for (const [stored, leased, shown, transaction] of SHOWN) {
  test(`${stored}, ${leased ? '' : 'not '}leased, is shown as ${shown} and ${transaction}`, () => {
    assert.equal(shownStatus(stored, leased), shown)
    assert.equal(transactionStatus(stored), transaction)
  })
}
