import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Busy, Unavailable } from '../src/ports.ts'
import { findingOf, strides, withLedgerRule } from '../src/verify/pass.ts'
import {
  nameOf,
  reportJson,
  summary,
  tally,
  type Chunk,
  type Finding,
} from '../src/verify/report.ts'
import { RULE_CODES } from '../src/verify/rules.ts'
import { manualClock } from './harness.ts'

/** Strides under a clock that moves as long as each chunk takes, and the sizes they asked for. */
function strided() {
  const clock = manualClock()
  const stride = strides(clock)
  const asked: number[] = []
  return {
    asked,
    run: (tookMs: number, errors: readonly Error[] = [], steps?: number) => {
      const left = [...errors]
      const run = (limit: number) => {
        asked.push(limit)
        clock.advance(tookMs)
        const error = left.shift()
        return error === undefined ? Promise.resolve('read') : Promise.reject(error)
      }
      return steps === undefined ? stride(run) : stride(run, () => steps)
    },
  }
}

test('a chunk is as large as can be read in 0.4 seconds, and grows to twice its size at most', async () => {
  const { asked, run } = strided()
  assert.deepEqual(await run(400), { value: 'read', ms: 400 })
  for (const tookMs of [800, 100, 0, 400_000, 400, 320]) await run(tookMs)
  assert.deepEqual(asked, [500, 500, 250, 500, 1_000, 250, 250])
  // The time of several steps is shared by them.
  await run(1_600, [], 4)
  await run(0)
  assert.deepEqual(asked.slice(7), [313, 313])
  for (let chunk = 0; chunk < 8; chunk += 1) await run(0)
  assert.equal(asked.at(-1), 10_000)
})

test('a chunk that cannot be read in time is an eighth next time, and grows back slowly', async () => {
  const { asked, run } = strided()
  const slow = new Busy('slow')
  assert.deepEqual(await run(50, [slow, new Unavailable('away')]), { value: 'read', ms: 50 })
  assert.deepEqual(asked, [500, 62, 7])
  for (let chunk = 0; chunk < 5; chunk += 1) await run(0)
  assert.deepEqual(asked.slice(3), [14, 16, 18, 21, 24])
})

test('a chunk is tried six times, down to one row, and another failure is told at once', async () => {
  const { asked, run } = strided()
  const slow = new Busy('slow')
  assert.equal((await run(0, Array(5).fill(slow) as Error[])).value, 'read')
  assert.deepEqual(asked, [500, 62, 7, 1, 1, 1])
  await assert.rejects(run(0, Array(6).fill(slow) as Error[]), slow)
  assert.equal(asked.length, 12)
  const bug = new Error('a bug')
  await assert.rejects(run(0, [bug]), bug)
  assert.equal(asked.length, 13)
})

const CHUNK: Chunk = { findings: [], checked: {}, accounts: null, next: null }
const SUMS = { user: 5n, user_held: 4n, gateway: -15n, fees: 2n, opening: 1n, losses: 3n }

test('the accounts of a chunk sum to zero, and a chunk without accounts says nothing of them', () => {
  assert.equal(withLedgerRule(CHUNK), CHUNK)
  const checked = { user: 3 }
  const right = withLedgerRule({ ...CHUNK, checked, accounts: SUMS })
  assert.deepEqual([right.findings, right.checked], [[], { user: 3, ledger: 1 }])
  const other = findingOf('balance_held', 'user', 7n)
  for (const account of Object.keys(SUMS) as (keyof typeof SUMS)[]) {
    const accounts = { ...SUMS, [account]: SUMS[account] + 1n }
    const wrong = withLedgerRule({ ...CHUNK, findings: [other], checked, accounts })
    const ledger = { ...findingOf('ledger_unbalanced', 'ledger', 0n), paymentId: null }
    assert.deepEqual(wrong.findings, [other, ledger], account)
  }
})

test('a report adds up what its chunks saw, and names the first violations of each rule', () => {
  const sum = tally(2)
  const finding = (id: bigint): Finding => findingOf('settle_missing', 'payment', id)
  const user = findingOf('balance_held', 'user', 9n)
  sum.add({ ...CHUNK, findings: [finding(1n)], checked: { payment: 10 }, accounts: SUMS }, 30.4)
  const two = { payment: 5, user: 2 }
  sum.add({ ...CHUNK, findings: [user, finding(2n)], checked: two, accounts: SUMS, steps: 3 }, 50.4)
  sum.add({ ...CHUNK, findings: [finding(3n)] }, 20)
  assert.deepEqual([sum.checked('payment'), sum.checked('user'), sum.checked('task')], [15, 2, 0])
  const at = { scope: 'full', complete: true, startedAt: new Date(0), durationMs: 100.6 } as const
  const { rules, accounts, others: _, ...rest } = sum.report(at)
  assert.deepEqual(rest, {
    scope: 'full',
    complete: true,
    missing: [],
    startedAt: new Date(0),
    durationMs: 101,
    longestMs: 50,
    statements: 5,
    violations: 4,
    checked: { payment: 15, user: 2 },
  })
  const doubled = {
    user: 10n,
    user_held: 8n,
    gateway: -30n,
    fees: 4n,
    opening: 2n,
    losses: 6n,
  }
  assert.deepEqual(accounts, doubled)
  assert.deepEqual(
    rules.map(({ rule }) => rule),
    RULE_CODES,
  )
  const of = (code: string) => rules.find(({ rule }) => rule === code)
  const { checked, violations, examples, durationMs } = of('settle_missing') ?? {}
  assert.deepEqual([checked, violations, durationMs], [15, 3, 81])
  assert.deepEqual(examples, [finding(1n), finding(2n)])
  assert.deepEqual([of('balance_held')?.violations, of('balance_held')?.durationMs], [1, 50])
  assert.deepEqual([of('task_orphan')?.checked, of('task_orphan')?.violations], [0, 0])
})

test('a summary names the worst first, three rows of each, and says that there are more', () => {
  const sum = tally(10)
  const add = (...findings: Finding[]) => sum.add({ ...CHUNK, findings }, 0)
  const at = { scope: 'recent', complete: false, startedAt: new Date(0), durationMs: 0 } as const
  assert.equal(summary(sum.report(at)), '')
  add(findingOf('time_order', 'payment', 7n))
  for (const id of [1n, 2n, 3n]) add(findingOf('balance_held', 'user', id))
  add(...[1n, 2n, 3n, 4n].map((id) => findingOf('settle_missing', 'payment', id)))
  const words =
    'balance_held × 3 (user 1, user 2, user 3); ' +
    'settle_missing × 4 (payment 1, payment 2, payment 3, …); time_order × 1 (payment 7)'
  assert.equal(summary(sum.report(at)), words)
  const json = reportJson(sum.report(at)) as { ok: boolean; violations: number; rules: object[] }
  assert.deepEqual([json.ok, json.violations, json.rules.length], [false, 8, RULE_CODES.length])
  const healthy = reportJson(tally(10).report(at)) as { ok: boolean }
  assert.equal(healthy.ok, true)
})

test('a row is named as people know it', () => {
  const named = (subject: Finding['subject'], id: bigint) =>
    nameOf({ rule: 'settle_missing', subject, id, paymentId: 5n, userId: 6n })
  assert.deepEqual(
    [
      named('ledger', 0n),
      named('table', 0n),
      named('table', 6n),
      named('sequence', 2n),
      named('posting', 9n),
      named('letter', 9n),
      named('user', 9n),
      named('payment', 9n),
      named('charge', 9n),
    ],
    [
      'the ledger',
      'table users',
      'table operator_acts',
      'sequence of dead_letters',
      'posting of user 6, payment 5',
      'letter 9 of payment 5',
      'user 9',
      'payment 9',
      'payment 9',
    ],
  )
  assert.deepEqual(findingOf('settle_missing', 'payment', 9n).paymentId, 9n)
  assert.deepEqual(findingOf('gateway_amount', 'charge', 9n).paymentId, 9n)
  assert.deepEqual(findingOf('balance_held', 'user', 9n).paymentId, null)
})
