import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { cloneDatabase, query } from './databases.ts'
import { run } from './programs.ts'
import { FAST, until } from './process-kit.ts'
import { serve } from './serve.ts'

interface Shown {
  readonly enabled: boolean
  readonly ranges: readonly { number: number; from: number | null; to: number }[]
  readonly made: readonly { number: number }[]
}

async function partitions(t: TestContext, url: string, ...more: readonly string[]) {
  const { code, stdout, stderr } = await run(
    t,
    ['partitions', '--json', '--size', '5', '--ahead', '2', ...more],
    { DATABASE_URL: url, SHARDS: '2' },
  )
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as Shown
}

const MADE = `select count(*) from pg_inherits where inhparent = to_regclass('payments')`

test('a used database is cut into ranges, and works, verifies and is backed up as before', async (t) => {
  const url = await cloneDatabase(t)
  const env = { ...FAST, SHARDS: '2' }
  const pay = async (count: number, ranges = 0) => {
    const service = await serve(t, env, { database: url })
    const user = await service.call('POST', '/users', { balance: 1_000 })
    for (let number = 0; number < count; number += 1) {
      const reply = await service.call('POST', '/payments/withdraw', {
        user_id: user.body['id'],
        amount: 1,
      })
      assert.equal(reply.status, 202, reply.text)
    }
    await until('all are final', async () => {
      const [row] = await query<{ count: string }>(url, 'select count(*) from payment_tasks')
      return row?.count === '0'
    })
    await until('a worker has made the next ranges', async () => {
      const [row] = await query<{ count: string }>(url, MADE)
      return Number(row?.count) >= ranges
    })
    await service.stop()
    await query(url, 'delete from processes')
  }
  await pay(3)
  assert.equal((await partitions(t, url)).enabled, false)
  const would = await partitions(t, url, '--enable', '--dry-run')
  assert.equal(would.enabled, false, 'nothing was changed')
  assert.equal(would.made.length, 3)
  const cut = await partitions(t, url, '--enable')
  assert.deepEqual(cut.made, would.made)
  assert.equal(cut.ranges[0]?.from, null)
  assert.equal(cut.ranges.length, 3)
  assert.deepEqual((await partitions(t, url)).made, [], 'nothing more is to be made')
  // One more than the command left ahead.
  await pay(8, cut.ranges.length + 1)
  const verified = await run(t, ['verify', '--json'], { DATABASE_URL: url, SHARDS: '2' })
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
  const after = await partitions(t, url, '--dry-run')
  const size = after.ranges.map(({ from, to }) => (from === null ? null : to - from))
  assert.deepEqual(new Set(size), new Set([null, 10]), 'they are as large as those before')
})
