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

const TASKS = {
  'a task that waits': { leased: false, pending: false },
  'a worker that has it': { leased: true, pending: false },
  'a gateway that has it': { leased: false, pending: true },
  'a worker that asks about it': { leased: true, pending: true },
  'no task': undefined,
} as const

const SHOWN: readonly (readonly [StoredStatus, keyof typeof TASKS, PaymentStatus, string])[] = [
  ['new', 'a task that waits', 'new', 'processing'],
  ['new', 'a worker that has it', 'processing', 'processing'],
  ['new', 'a gateway that has it', 'pending', 'processing'],
  ['new', 'a worker that asks about it', 'pending', 'processing'],
  ['unknown', 'a task that waits', 'unknown', 'processing'],
  ['unknown', 'a worker that asks about it', 'unknown', 'processing'],
  ['unknown', 'no task', 'unknown', 'processing'],
  ['success', 'no task', 'success', 'success'],
  ['success', 'a gateway that has it', 'success', 'success'],
  ['failed', 'no task', 'failed', 'failed'],
]

for (const [stored, of, shown, transaction] of SHOWN) {
  test(`${stored}, with ${of}, is shown as ${shown} and ${transaction}`, () => {
    assert.equal(shownStatus(stored, TASKS[of]), shown)
    assert.equal(transactionStatus(stored), transaction)
  })
}
