import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fault } from './fuzz/oracle.ts'
import { fuzz } from './fuzz/run.ts'
import { wrongServer, type Wrong } from './fuzz/wrong-server.ts'

/** Enough to try most of the values once on one operation. */
const REQUESTS = 1_500

/** A way to be wrong, and all that the fuzzer must say of it. */
const TABLE: readonly (readonly [wrong: Wrong, faults: readonly Fault[]])[] = [
  ['nothing', []],
  ['stores_before_it_checks', ['rows_changed']],
  ['breaks_on_large_ids', ['not_a_problem', 'server_error', 'undocumented_status']],
  ['answers_what_it_does_not_document', ['undocumented_status']],
  ['answers_another_shape', ['answer_breaks_schema']],
  ['repeats_values', ['not_a_problem', 'value_echoed']],
]

for (const [wrong, faults] of TABLE) {
  test(`the fuzzer finds a server that is wrong: ${wrong}`, async () => {
    const { target, close } = await wrongServer(wrong)
    try {
      const report = await fuzz(target, { seed: 1, requests: REQUESTS, stories: false })
      const found = new Set(report.findings.map((finding) => finding.fault))
      assert.deepEqual([...found].toSorted(), faults, JSON.stringify(report.findings.slice(0, 3)))
    } finally {
      await close()
    }
  })
}

test('the fuzzer finds every kind of value that Fastify converts by default', async () => {
  const { target, close } = await wrongServer('defaults')
  try {
    const report = await fuzz(target, { seed: 2, requests: 4 * REQUESTS, stories: false })
    const accepted = report.findings
      .filter(({ fault }) => fault === 'forbidden_accepted')
      .map(({ request }) => request.split(' | ').at(-1) ?? '')
    // A repeated name, a boolean, an array of one and an unknown field: none of them is refused.
    for (const hole of [/:(true|false)/, /:\[/, /"user_id":"/, /"(user_id|deposit)".*"\1"/]) {
      assert.ok(
        accepted.some((body) => hole.test(body)),
        `nothing like ${hole.source}`,
      )
    }
  } finally {
    await close()
  }
})
