import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verify } from '../src/verify/verify.ts'
import { cloneDatabase } from './databases.ts'
import { manualClock, openDb } from './harness.ts'
import { writeBooks } from './simulation/books-into-postgres.ts'
import { play } from './simulation/run.ts'

/** Seeds whose books are put together; each has ids of its own. */
const SEEDS = 60
const APART = 100_000n

test('the books at the end of histories keep every rule that verify checks', async (t) => {
  const clock = manualClock()
  clock.advance(Date.UTC(2040, 0, 1) - clock.now().getTime())
  const db = openDb(t, await cloneDatabase(t), { poolMax: 2, shards: 1, clock })
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { world, failure } = await play(seed, { plan: { shards: 1, clerks: 1 + (seed % 3) } })
    assert.equal(failure, null, `seed ${seed}`)
    // What a process of the version before kept and did not act on is what a rule is for.
    if (world.ignored.size === 0) await writeBooks(db, world.tables, BigInt(seed) * APART)
  }
  const last = APART * BigInt(SEEDS + 1)
  for (const name of ['user_ids', 'payment_ids', 'dead_letter_ids']) {
    const text = 'select setval($1::text::regclass, $2)'
    await db.global.run({ name: 'put_sequence', sharded: false, text }, [name, last])
  }
  const report = await verify({ db, clock })
  const broken = report.rules.filter(({ violations }) => violations > 0)
  assert.deepEqual(broken, [])
  assert((report.checked['payment'] ?? 0) > SEEDS * 10, 'histories in which something happens')
  t.diagnostic(JSON.stringify(report.checked))
})
