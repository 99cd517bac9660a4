import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  against,
  againstRedrive,
  NO_EVIDENCE,
  type GatewayTerms,
  type KnownEvidence,
} from '../src/domain/evidence.ts'

const TERMS: GatewayTerms = {
  repeats: 'first_answer',
  keyLifeMs: 100_000,
  lookup: 'none',
  timeoutMs: 1_000,
}
const FACTS = ['yes', 'no', 'declined', 'absent', 'doubted'] as const

/** Everything that may be known, in words: 32 of them. */
const ALL: readonly KnownEvidence[] = Array.from({ length: 32 }, (_, bits) => {
  const facts = FACTS.map((fact, at) => [fact, (bits & (1 << at)) !== 0] as const)
  return { ...NO_EVIDENCE, ...Object.fromEntries(facts) }
})

function named(known: KnownEvidence): string {
  return FACTS.filter((fact) => known[fact]).join(' ')
}

test('a word that failed goes against nothing but a yes', () => {
  const contradicted = ALL.filter((known) => against('failed', known) !== null)
  assert.deepEqual(
    contradicted,
    ALL.filter(({ yes }) => yes),
  )
  for (const known of contradicted) assert.equal(against('failed', known), 'success')
})

test('a word that succeeded goes against a no of a lookup, or of a charge where none is in doubt', () => {
  for (const known of ALL) {
    const { yes, no, declined, doubted } = known
    const said = !yes && (no || (declined && !doubted))
    assert.equal(against('success', known), said ? 'declined' : null, named(known))
  }
})

test('a failed payment is repeated only if none of its charges may have been executed', () => {
  for (const repeats of ['first_answer', 'executes_once', 'may_execute_again'] as const) {
    for (const known of ALL) {
      const { yes, no, declined, absent, doubted } = known
      const refusal = againstRedrive('failed', known, { ...TERMS, repeats })
      const words = `${named(known)}, ${repeats}`
      if (yes) {
        const contradicts = { code: 'evidence_contradicts', evidence: 'success' }
        assert.deepEqual(refusal, contradicts, words)
        continue
      }
      const open = doubted && !no && !absent && !(declined && repeats === 'first_answer')
      const maybe = { code: 'maybe_executed', evidence: 'in_doubt' }
      assert.deepEqual(refusal, open ? maybe : null, words)
    }
  }
})

test('an unknown payment is redriven where it is executed, can be asked about or can be sent', () => {
  const impossible = { code: 'redrive_impossible' }
  const old = { ...NO_EVIDENCE, doubted: true, firstSentAgeMs: TERMS.keyLifeMs }
  const young = { ...old, firstSentAgeMs: 0 }
  const odd = { ...TERMS, repeats: 'may_execute_again' } as const
  assert.deepEqual(againstRedrive('unknown', old, TERMS), impossible)
  assert.deepEqual(againstRedrive('unknown', young, odd), impossible)
  assert.equal(againstRedrive('unknown', young, TERMS), null)
  assert.equal(againstRedrive('unknown', { ...old, yes: true }, TERMS), null)
  for (const lookup of ['eventual', 'consistent'] as const) {
    assert.equal(againstRedrive('unknown', old, { ...odd, lookup }), null)
  }
})
