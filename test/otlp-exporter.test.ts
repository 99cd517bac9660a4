import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { otlpExporter, SPANS_MAX } from '../src/adapters/otlp-exporter.ts'
import type { PartialSuccess } from '../src/adapters/otlp-json.ts'
import { openTracer, type EndedSpan } from '../src/adapters/tracer.ts'
import { manualClock } from './harness.ts'
import { collector, NEVER_ENDS } from './otlp-collector.ts'

const RESOURCE = { service: 'shop', version: '1.2.3', role: 'api', instance: 'here-7' }

const span = (name = 'one'): EndedSpan => ({
  context: {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    sampled: true,
  },
  parentId: null,
  name,
  kind: 'server',
  beganMs: 1_893_456_000_000.25,
  endedMs: 1_893_456_000_001,
  failed: null,
  attributes: {},
  links: [],
})

interface Settings {
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

function exporter(
  t: TestContext,
  endpoint: string,
  { headers = {}, timeoutMs = 5_000 }: Settings = {},
) {
  const told = {
    exported: 0,
    dropped: 0,
    changes: [] as (string | null)[],
    partial: [] as PartialSuccess[],
  }
  const opened = otlpExporter({
    endpoint,
    headers,
    resource: RESOURCE,
    closeMsMax: 1_000,
    onSpans: (result, count) => void (told[result] += count),
    onChange: (away) => told.changes.push(away),
    onPartial: (partial) => told.partial.push(partial),
    timeoutMs,
  })
  t.after(() => opened.close())
  return { ...opened, told }
}

test('spans are posted to /v1/traces with the headers of the settings', async (t) => {
  const { url, seen, spans } = await collector(t)
  const { add, flush, told } = exporter(t, `${url}/`, { headers: { 'api-key': 'abc' } })
  add(span())
  await flush()
  assert.equal(seen[0]?.path, '/v1/traces')
  assert.equal(seen[0]?.headers['api-key'], 'abc')
  assert.equal(seen[0]?.headers['content-type'], 'application/json')
  const [one] = spans()
  assert.equal(one?.startTimeUnixNano, '1893456000000250000')
  assert.equal(one?.endTimeUnixNano, '1893456000001000000')
  assert.deepEqual([told.exported, told.dropped], [1, 0])
})

test('spans beyond the bound are dropped and counted, while a collector is away', async (t) => {
  const { add, flush, close, told } = exporter(t, 'http://127.0.0.1:9')
  for (let made = 0; made < SPANS_MAX + 5; made += 1) add(span())
  assert.equal(told.dropped, 5)
  await flush()
  await flush()
  assert.deepEqual([told.exported, told.dropped], [0, 5])
  assert.deepEqual(told.changes, ['ECONNREFUSED'], 'it is said once')
  await close()
  assert.equal(told.dropped, SPANS_MAX + 5, 'whatever is left at the end is counted')
  add(span())
  assert.equal(told.dropped, SPANS_MAX + 6)
})

test('what a collector does not take for now is sent again, once', async (t) => {
  const { url, spans } = await collector(t, 503, 429, 200)
  const { add, flush, told } = exporter(t, url)
  add(span())
  await flush()
  await flush()
  assert.deepEqual([told.exported, told.dropped], [0, 0])
  await flush()
  await flush()
  assert.deepEqual([told.exported, told.dropped], [1, 0])
  assert.equal(spans().length, 1)
  assert.deepEqual(told.changes, ['http_503', null])
})

test('what a collector refuses is dropped, and the next spans are sent', async (t) => {
  const { url, spans } = await collector(t, 400, 200)
  const { add, flush, told } = exporter(t, url)
  add(span('refused'))
  await flush()
  add(span('taken'))
  await flush()
  assert.deepEqual([told.exported, told.dropped], [1, 1])
  assert.deepEqual(
    spans().map(({ name }) => name),
    ['taken'],
  )
})

test('what a collector rejects of a request that it takes is counted as dropped, and said once', async (t) => {
  const opened = await collector(t)
  const { add, flush, told } = exporter(t, opened.url)
  const partial = (rejectedSpans: unknown, errorMessage = 'too old') =>
    JSON.stringify({ partialSuccess: { rejectedSpans, errorMessage } })
  for (const answer of [partial('2'), partial(1), partial(9), partial('nonsense', ''), 'no JSON']) {
    opened.answer = answer
    for (let made = 0; made < 3; made += 1) add(span())
    await flush()
  }
  assert.deepEqual([told.exported, told.dropped], [9, 6])
  assert.deepEqual(told.partial, [{ rejected: 2, message: 'too old' }])
  assert.deepEqual(told.changes, [])
  assert.equal(opened.spans().length, 15, 'none is sent again')
})

test('a collector whose answer does not end holds up the next spans for one time limit', async (t) => {
  const opened = await collector(t)
  const { add, flush, told } = exporter(t, opened.url, { timeoutMs: 50 })
  for (const answer of [
    NEVER_ENDS,
    `{"partialSuccess":{"errorMessage":"${'x'.repeat(99_999)}"}}`,
  ]) {
    opened.answer = answer
    add(span())
    await flush()
  }
  assert.deepEqual([told.exported, told.dropped], [2, 0], 'its status says that it took them')
  assert.deepEqual([told.changes, told.partial], [[], []])
})

test('what waits at the end is sent before the exporter is closed', async (t) => {
  const { url, spans } = await collector(t)
  const { add, close, told } = exporter(t, url)
  for (let made = 0; made < 600; made += 1) add(span())
  await close()
  assert.equal(spans().length, 600)
  assert.deepEqual([told.exported, told.dropped], [600, 0])
})

test('a batch links the traces that are kept and no others, and is not kept without any', () => {
  const ended: EndedSpan[] = []
  const sampling = { sampler: 'parentbased_always_on', ratio: 1 } as const
  const tracer = openTracer(manualClock(), sampling, (one) => ended.push(one))
  const kept = tracer.begin({ name: 'a', kind: 'server', parent: null })?.traceparent ?? ''
  tracer.batch('accept', [`${kept.slice(0, -2)}00`, 'nonsense'], 5)
  assert.equal(ended.length, 0)
  tracer.batch('accept', [kept, `${kept.slice(0, -2)}00`], 5)
  const [batch] = ended
  assert.equal((batch?.endedMs ?? 0) - (batch?.beganMs ?? 0), 5)
  assert.deepEqual(
    batch?.links.map(({ spanId }) => spanId),
    [kept.slice(36, 52)],
  )
  tracer.batch(
    'accept',
    Array.from({ length: 1_000 }, () => kept),
    5,
  )
  assert.equal(ended[1]?.links.length, 128)
  assert.equal(ended[1]?.attributes['payments.batch.traced'], 1_000)
})
