import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bookedElsewhere, decideCorrection } from '../src/domain/correction.ts'
import { NO_EVIDENCE } from '../src/domain/evidence.ts'
import { CHARGED_AFTER_FAILED } from '../src/domain/explain.ts'

const FAILED = {
  id: 5n,
  userId: 3n,
  type: 'withdraw',
  status: 'failed',
  amount: 100n,
  commission: 2n,
} as const

test('a failed payment that the gateway executed is corrected once', () => {
  const letter = CHARGED_AFTER_FAILED
  const decision = decideCorrection({ payment: FAILED, letter, corrected: null, word: null }, 50n)
  assert.ok(decision.kind === 'correct', 'correct')
  const { kind, user, gateway, fees, losses } = decision.entry
  assert.deepEqual([kind, user, gateway, fees, losses], ['settle_late', -50n, 100n, 2n, -52n])
  const again = { payment: FAILED, letter: null, corrected: { ref: null }, word: null }
  assert.deepEqual(decideCorrection(again, 50n), { kind: 'corrected' })
})

test('nothing else is corrected', () => {
  const refused = { kind: 'refused', refusal: { code: 'not_correctable' } }
  const letter = CHARGED_AFTER_FAILED
  for (const status of ['new', 'unknown', 'success'] as const) {
    const payment = { ...FAILED, status }
    assert.deepEqual(
      decideCorrection({ payment, letter, corrected: null, word: null }, 50n),
      refused,
    )
  }
  for (const other of [null, 'rejected']) {
    const view = { payment: FAILED, letter: other, corrected: null, word: null }
    assert.deepEqual(decideCorrection(view, 50n), refused)
  }
})

test('a word corrects what failed, and goes against a no of the gateway only if it is meant so', () => {
  const view = { payment: FAILED, letter: null, corrected: null }
  const said = {
    ref: 'gw-1',
    known: NO_EVIDENCE,
    insists: false,
    besidesRedrive: false,
    relatives: [],
  }
  const plain = decideCorrection({ ...view, word: said }, 50n)
  assert.ok(plain.kind === 'correct' && plain.evidence === null)
  for (const no of [{ no: true }, { declined: true }]) {
    const known = { ...NO_EVIDENCE, ...no }
    assert.deepEqual(decideCorrection({ ...view, word: { ...said, known } }, 50n), {
      kind: 'refused',
      refusal: { code: 'evidence_contradicts', paymentId: 5n, evidence: 'declined' },
    })
    const insists = decideCorrection({ ...view, word: { ...said, known, insists: true } }, 50n)
    assert.ok(insists.kind === 'correct' && insists.evidence === 'declined')
    // A late yes outweighs the no, so nobody has to insist.
    const late = { ...view, letter: CHARGED_AFTER_FAILED, word: { ...said, known } }
    const booked = decideCorrection(late, 50n)
    assert.ok(booked.kind === 'correct' && booked.evidence === null)
  }
  for (const other of [{ status: 'success' }, { status: 'unknown' }, { type: 'refund' }] as const) {
    const decision = decideCorrection(
      { ...view, payment: { ...FAILED, ...other }, word: said },
      50n,
    )
    assert.ok(decision.kind === 'refused' && decision.refusal.code === 'not_correctable')
  }
})

test('a failed refund is not repeated once a refund there of as much is booked, but for one that was ours', () => {
  const createdAt = new Date(0)
  const payment = { id: 7n, parentId: 3n, amount: 100n, createdAt }
  const child = { parentId: 3n, amount: 100n, ref: 'rf', createdAt }
  const booked = {
    ...child,
    id: 9n,
    type: 'return',
    status: 'success',
    kind: 'refunded_there',
  } as const
  const refund = { ...child, id: 8n, type: 'refund', kind: null } as const
  const seen = { code: 'maybe_executed', evidence: 'in_doubt', paymentId: 9n }
  const against = (status: 'success' | 'failed') =>
    bookedElsewhere(payment, [], [{ ...refund, status }, booked])
  assert.equal(against('success'), null)
  assert.deepEqual(against('failed'), seen, 'the failed one is what was made after all')
})
