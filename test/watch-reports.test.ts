import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WatchSeen } from '../src/charging/watch.ts'
import { watchReports } from '../src/process/watch-reports.ts'

/** Reports of looks at payments, and the lines that they wrote. */
function reports() {
  const lines: string[] = []
  const line = (level: string) => (about: object) => {
    const { payment, refusals, reason } = about as {
      payment: number
      refusals?: WatchSeen['refusals']
      reason?: string
    }
    const refs = (refusals ?? []).map(({ ref }) => ref)
    lines.push([level, payment, ...refs, ...(reason === undefined ? [] : [reason])].join(' '))
  }
  const log = { info: line('info'), warn: line('warn'), error: line('error') }
  const report = watchReports(log, 'http')
  return (what: WatchSeen['what'], more: Partial<WatchSeen> = {}): string[] => {
    report({ paymentId: 1n, what, refusals: [], ...more })
    return lines.splice(0)
  }
}

const IN_DOUBT = { ref: 're_1', code: 'refund_in_doubt' } as const
const REFUSED = { ref: 'dp_1', code: 'not_returnable' } as const

test('that a payment is put off is said when it begins, and again after it had ended', () => {
  const told = reports()
  const refusals = [IN_DOUBT]
  assert.deepEqual(told('put_off', { refusals }), ['warn 1 re_1'])
  assert.deepEqual(told('put_off', { refusals }), [])
  assert.deepEqual(told('put_off', { refusals, paymentId: 2n }), ['warn 2 re_1'])
  assert.deepEqual(told('nothing'), [])
  assert.deepEqual(told('put_off', { refusals }), ['warn 1 re_1'])
  assert.deepEqual(told('put_off', { refusals, paymentId: 2n }), [])
})

test('what contradicts the books is an error whatever else is put off', () => {
  const told = reports()
  const refusals = [IN_DOUBT, REFUSED]
  assert.deepEqual(told('put_off', { refusals }), ['error 1 dp_1', 'warn 1 re_1'])
  assert.deepEqual(told('put_off', { refusals }), ['error 1 dp_1'])
  assert.deepEqual(told('refused', { refusals: [REFUSED] }), ['error 1 dp_1'])
})

test('why a gateway does not answer is said once until it does', () => {
  const told = reports()
  assert.deepEqual(told('no_word', { reason: 'timeout' }), ['warn 1 timeout'])
  assert.deepEqual(told('no_word', { reason: 'timeout', paymentId: 2n }), [])
  assert.deepEqual(told('no_word', { reason: 'http_500' }), ['warn 1 http_500'])
  assert.deepEqual(told('booked', { paymentId: 3n }), ['info 3'])
  assert.deepEqual(told('no_word', { reason: 'timeout', paymentId: 2n }), ['warn 2 timeout'])
})

test('however much is put off, little of it is remembered', () => {
  const told = reports()
  const refusals = [IN_DOUBT]
  for (let id = 1n; id <= 1_001n; id += 1n) {
    assert.equal(told('put_off', { refusals, paymentId: id }).length, 1)
  }
  assert.deepEqual(told('put_off', { refusals, paymentId: 1n }), ['warn 1 re_1'])
})
