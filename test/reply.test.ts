import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { chargeKind, lookupKind, type Shape } from '../src/domain/reply-outcome.ts'
import { SHAPES, withTables } from './reply-table.ts'
import { ROOT } from './sources.ts'

const NAMES = Object.keys(SHAPES) as Shape[] // Its keys are the shapes.

/** Every status and shape there is. */
function* replies(): Generator<readonly [status: number, shape: Shape]> {
  for (let status = 100; status <= 599; status += 1)
    for (const shape of NAMES) yield [status, shape]
}

test('docs/gateways.md shows what every reply means, as the code has it', () => {
  const page = readFileSync(join(ROOT, 'docs/gateways.md'), 'utf8')
  assert.equal(page, withTables(page), 'run npm run gateways-page')
  assert.ok(page.includes('`in_doubt`'))
})

test('only 2xx says yes, and only a body in our words says anything final', () => {
  for (const [status, shape] of replies()) {
    const kind = chargeKind(status, shape)
    if (kind === 'success') assert.ok(status >= 200 && status < 300 && shape === 'success')
    if (kind === 'declined') assert.equal(shape, 'declined')
    if (kind === 'rejected') assert.equal(shape, 'rejected')
    if (kind === 'pending') assert.ok(status >= 200 && status < 300 && shape === 'pending')
  }
})

test('nothing is refused by a reply about another payment, or that says yes', () => {
  for (const [status, shape] of replies()) {
    const kind = chargeKind(status, shape)
    if (shape === 'another') assert.equal(kind, 'in_doubt')
    if (shape === 'success' || shape === 'pending') assert.ok([shape, 'in_doubt'].includes(kind))
  }
})

test('what may come after execution is in doubt, whatever the body: 5xx, 408, 425', () => {
  for (const [status, shape] of replies()) {
    if (status < 500 && status !== 408 && status !== 425) continue
    assert.equal(chargeKind(status, shape), 'in_doubt')
  }
})

test('no page ends a payment, and none proves that it was not charged', () => {
  for (const [status, shape] of replies()) {
    if (!['page', 'empty', 'json', 'another'].includes(shape)) continue
    assert.ok(!['success', 'declined', 'rejected', 'pending'].includes(chargeKind(status, shape)))
    assert.ok(['no_answer', 'misconfigured'].includes(lookupKind(status, shape)))
  }
})

test('without a whole reply only whether a byte was sent counts', () => {
  for (const shape of NAMES) {
    assert.equal(chargeKind(null, shape, true), 'in_doubt')
    assert.equal(chargeKind(null, shape, false), 'not_executed')
    assert.equal(lookupKind(null, shape), 'no_answer')
  }
})
