import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { histogram } from '../tools/load/histogram.ts'
import { htmlReport } from '../tools/load/html.ts'
import { median, passes, textReport, type Report } from '../tools/load/report.ts'
import { responseReader } from '../tools/load/response.ts'

/** Milliseconds down to the microsecond, as they are kept. */
const durations = fc.array(
  fc.integer({ min: 0, max: 100_000_000 }).map((micros) => micros / 1_000),
  {
    minLength: 1,
    maxLength: 300,
  },
)

test('every quantile of a histogram is within 2 % of the exact one, and never below it', () => {
  fc.assert(
    fc.property(durations, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
      const counted = histogram()
      for (const value of values) counted.record(value)
      const sorted = values.toSorted((a, b) => a - b)
      const exact = sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] ?? 0
      const shown = counted.quantile(q)
      assert.ok(shown >= exact - 0.001 && shown <= exact * 1.02 + 0.001, `${shown} for ${exact}`)
    }),
  )
})

test('histograms that are added, or sent as buckets, count the same as one', () => {
  fc.assert(
    fc.property(durations, durations, (first, second) => {
      const [one, other, both] = [histogram(), histogram(), histogram()]
      for (const value of first) one.record(value)
      for (const value of second) other.record(value)
      for (const value of [...first, ...second]) both.record(value)
      one.add(histogram(other.buckets()))
      assert.equal(one.count(), both.count())
      assert.deepEqual(
        one.buckets().map(({ count }) => count),
        both.buckets().map(({ count }) => count),
      )
      for (const q of [0, 0.5, 0.99]) {
        assert.ok(Math.abs(one.quantile(q) - both.quantile(q)) <= both.quantile(q) * 0.02 + 0.001)
      }
    }),
  )
})

test('a histogram of nothing is zero, and its largest duration is exact', () => {
  const empty = histogram()
  assert.deepEqual([empty.count(), empty.mean(), empty.max(), empty.quantile(0.5)], [0, 0, 0, 0])
  empty.record(12.345)
  assert.deepEqual([empty.max(), empty.quantile(1), empty.mean()], [12.345, 12.345, 12.345])
  empty.record(1e12)
  assert.ok(empty.quantile(1) > 1e6, 'what is beyond the scale counts as its end')
})

const RESPONSES =
  'HTTP/1.1 202 Accepted\r\nlocation: /api/v1/payments/1\r\nContent-Length: 5\r\n\r\nhello' +
  'HTTP/1.1 204 No Content\r\nx: y\r\n\r\n' +
  'HTTP/1.1 100 Continue\r\n\r\n' +
  'HTTP/1.1 503 Service Unavailable\r\ncontent-length:0\r\nretry-after: 1\r\n\r\n' +
  'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n\r\n\r\nétc'

test('responses are read alike however the bytes are cut', () => {
  const bytes = Buffer.from(RESPONSES)
  const cuts = fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 40 })
  fc.assert(
    fc.property(cuts, (places) => {
      const seen: [number, string][] = []
      const reader = responseReader((status, body) => seen.push([status, `${body}`]), true)
      const ends = [...new Set(places)].toSorted((a, b) => a - b)
      let from = 0
      for (const to of [...ends, bytes.length]) {
        // A buffer that is used again, as the sockets do.
        const chunk = Buffer.from(bytes.subarray(from, to))
        reader.read(chunk)
        chunk.fill(0)
        from = to
      }
      assert.deepEqual(seen, [
        [202, 'hello'],
        [204, ''],
        [503, ''],
        [200, '\r\n\r\nétc'],
      ])
    }),
  )
})

for (const [what, text] of [
  ['is not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['has no length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['has a head without an end', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(4_000)}`],
] as const) {
  test(`a response that ${what} is refused`, () => {
    const reader = responseReader(() => assert.fail('nothing may be read'))
    assert.throws(() => reader.read(Buffer.from(text)))
  })
}

const REPORT: Report = {
  title: 'A <report>',
  startedAt: '2026-01-02T03:04:05.000Z',
  commit: 'abc1234',
  quick: false,
  machine: { processor: '2 x "fast" & cheap' },
  scenarios: [
    {
      name: 'accept',
      title: 'Accept',
      measures: [
        {
          name: 'ours <1>',
          system: 'ours',
          unit: '/s',
          runs: [3, 1, 2],
          median: 2,
          perSecond: 2,
          latency: { mean: 1, p50: 1, p90: 2, p99: 3, p999: 4, max: 5 },
          buckets: [{ upToMs: 1, count: 2 }],
          cores: { server: 0.5, others: 1 },
        },
      ],
      facts: ['One & only.'],
      books: { right: true, text: 'balanced' },
      tookSeconds: 1,
    },
  ],
  bars: [
    { scenario: 'accept', text: 'A', bound: 'at least', limit: 8, unit: '×', value: 9, perCore: 7 },
    {
      scenario: 'accept',
      text: 'B',
      bound: 'at most',
      limit: 3,
      unit: 's',
      value: 4,
      perCore: null,
    },
    {
      scenario: 'accept',
      text: 'C',
      bound: 'at least',
      limit: 8,
      unit: '×',
      value: null,
      perCore: null,
    },
  ],
}

test('a bar passes, is missed, or was not measured', () => {
  assert.deepEqual(REPORT.bars.map(passes), [true, false, null])
  assert.deepEqual([median([3, 1, 2]), median([4, 1]), median([])], [2, 2.5, Number.NaN])
})

test('the report is text for a terminal, and a page that needs nothing else', () => {
  const text = textReport(REPORT)
  for (const part of ['Accept (accept)', 'MISS', 'not measured', 'One & only.', 'server 250,000']) {
    assert.ok(text.includes(part), part)
  }
  const page = htmlReport(REPORT)
  assert.ok(!/<(script|link|img)|https?:/.test(page), 'nothing is loaded')
  assert.ok(page.includes('ours &lt;1&gt;') && !page.includes('ours <1>'), 'text is escaped')
  assert.ok(page.includes('<svg') && !page.includes('NaN'), 'charts are drawn')
})
