import assert from 'node:assert/strict'
import { test } from 'node:test'
import { againstRedrive, NO_EVIDENCE, type GatewayTerms } from '../src/domain/evidence.ts'
import { explain } from '../src/domain/explain.ts'
import { TERMS, type Facts, situation, UNKNOWN } from './explain-kit.ts'

/** Every gateway there can be, and payments in doubt at every age of their keys. */
const REPEATS = ['first_answer', 'executes_once', 'may_execute_again'] as const

const LOOKUPS = ['none', 'eventual', 'consistent'] as const

const AGES_MS = [0, 3_000_000, 10_000_000] as const

for (const repeats of REPEATS) {
  for (const lookup of LOOKUPS) {
    test(`no sentence promises what a gateway cannot do: ${repeats}, ${lookup}`, () => {
      const terms: GatewayTerms = { ...TERMS, repeats, lookup }
      for (const firstSentAgeMs of AGES_MS) {
        const known = { ...NO_EVIDENCE, firstSentAgeMs }
        const letter = { id: 3n, error: 'timeout' }
        const facts: readonly Facts[] = [
          { task: { tries: 1, inDoubt: true } },
          { task: { inDoubt: true }, redriven: true },
          { payment: UNKNOWN, task: null, letter },
          { payment: UNKNOWN, task: { lookups: 1 }, letter },
        ]
        for (const each of facts) {
          const sentence = explain(situation({ ...each, known, terms }))
          const asks = /is asked(?! by)/.test(sentence)
          assert.ok(!asks || lookup !== 'none', sentence)
          const alive = repeats !== 'may_execute_again' && firstSentAgeMs < 3_200_000
          assert.ok(!/sent again (only )?under its own key/.test(sentence) || alive, sentence)
          // A redrive is offered where it is not refused.
          const refusal = againstRedrive('unknown', known, terms)
          assert.ok(!/redrives? or/.test(sentence) || refusal === null, sentence)
        }
      }
    })
  }
}
