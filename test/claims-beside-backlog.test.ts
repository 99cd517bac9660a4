import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claimTasks } from '../src/queue/claims-store.ts'
import { cloneDatabase, query } from './databases.ts'
import { openDb } from './harness.ts'
import { explaining, type Plan } from './plans-kit.ts'

/** Due tasks of a gateway that is down: many beside those of the other, for whoever plans. */
const WAITING = 100_000

/** Tasks of a claim. */
const LIMIT = 5

/** Every node of a plan that reads the queue, or an index of it. */
function readers(plan: Plan): Plan[] {
  const named = plan['Relation Name'] ?? plan['Index Name'] ?? ''
  const own = named.startsWith('payment_tasks') && plan.Operation === undefined
  return [...(own ? [plan] : []), ...(plan.Plans ?? []).flatMap(readers)]
}

/** One that is down, and one that is not: each of the two indexes, and one of them alone. */
const PAIRS = [
  ['bank', 'http'],
  ['http', 'bank'],
  ['bank', 'card'],
] as const

test('a claim for one gateway reads no task of another, of which a hundred thousand are due', async (t) => {
  for (const [down, other] of PAIRS) {
    const url = await cloneDatabase(t)
    await query(
      url,
      `insert into payment_tasks (shard, payment_id, gateway, operation, run_at)
       select 0, n, case when n > ${WAITING} then '${other}' else '${down}' end, 'charge',
         now() - interval '1 day' + n * interval '1 millisecond'
       from generate_series(1, ${WAITING + 8 * LIMIT}) n`,
    )
    // As autovacuum leaves a queue that has grown; and as it finds one that just did.
    for (const known of ['', 'analyze payment_tasks']) {
      if (known !== '') await query(url, known)
      for (const plans of ['custom', 'generic'] as const) {
        const seen: Plan[] = []
        const db = explaining(openDb(t, url), plans, (_, plan) => seen.push(...readers(plan)))
        const route = { gateway: other, operation: 'charge' } as const
        const claimed = await claimTasks(db.of(0n), route, LIMIT, 60_000)
        assert.equal(claimed.length, LIMIT)
        assert.ok(seen.length > 0, 'the queue is read')
        for (const node of seen) {
          const rows = (node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0)
          const said = `${plans} ${node['Node Type']} ${node['Index Name'] ?? ''}`
          assert.ok(rows * (node['Actual Loops'] ?? 1) <= LIMIT, `${said} reads ${rows} rows`)
        }
      }
    }
  }
})
