import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isSampled,
  readTraceparent,
  writeTraceparent,
  type Sampling,
} from '../src/domain/trace-context.ts'
import { seededRandom } from '../src/domain/random.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'

test('a traceparent is read as W3C Trace Context says, and written as it was', () => {
  const text = `00-${TRACE}-${SPAN}-01`
  const context = readTraceparent(text)
  assert.deepEqual(context, { traceId: TRACE, spanId: SPAN, sampled: true })
  assert.equal(context === null ? null : writeTraceparent(context), text)
  assert.equal(readTraceparent(`00-${TRACE}-${SPAN}-00`)?.sampled, false)
  // The other flags are of later versions, and so is what stands behind them.
  assert.equal(readTraceparent(`00-${TRACE}-${SPAN}-03`)?.sampled, true)
  assert.equal(readTraceparent(`cc-${TRACE}-${SPAN}-01-what-is-new`)?.spanId, SPAN)
})

const NONE: readonly unknown[] = [
  undefined,
  ['00', TRACE],
  '',
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-1`,
  `00-${TRACE}-${SPAN}-01-more`,
  `cc-${TRACE}-${SPAN}-01more`,
  `ff-${TRACE}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${TRACE.slice(1)}-${SPAN}-01`,
  ` 00-${TRACE}-${SPAN}-01`,
  `cc-${TRACE}-${SPAN}-01-${'x'.repeat(600)}`,
]

test('what is no traceparent is read as none', () => {
  for (const text of NONE) assert.equal(readTraceparent(text), null, String(text))
})

const kept = { traceId: TRACE, spanId: SPAN, sampled: true }
const left = { ...kept, sampled: false }

test('a sampler keeps what its name says: alone, or as the caller decided', () => {
  const says = (sampler: Sampling['sampler']) =>
    [null, kept, left].map((parent) => isSampled({ sampler, ratio: 0 }, parent, TRACE))
  assert.deepEqual(says('always_on'), [true, true, true])
  assert.deepEqual(says('always_off'), [false, false, false])
  assert.deepEqual(says('traceidratio'), [false, false, false])
  assert.deepEqual(says('parentbased_always_on'), [true, true, false])
  assert.deepEqual(says('parentbased_always_off'), [false, true, false])
  assert.deepEqual(says('parentbased_traceidratio'), [false, true, false])
})

test('a share of traces is kept, the same ones by everybody, and a larger share has them all', () => {
  const random = seededRandom(14)
  const digit = () => Math.floor(random() * 16).toString(16)
  const ids = Array.from({ length: 4_000 }, () => Array.from({ length: 32 }, digit).join(''))
  const share = (ratio: number) =>
    ids.filter((id) => isSampled({ sampler: 'traceidratio', ratio }, null, id))
  assert.equal(share(0).length, 0)
  assert.equal(share(1).length, ids.length)
  const tenth = share(0.1)
  assert.ok(tenth.length > 300 && tenth.length < 500, `${tenth.length}`)
  const fifth = new Set(share(0.2))
  assert.ok(tenth.every((id) => fifth.has(id)))
})
