import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { cloneDatabase, query } from './databases.ts'
import { until } from './process-kit.ts'
import { start } from './programs.ts'

/** A user with so many entries that no pipe takes them at once. */
async function longJournal(url: string): Promise<void> {
  await query(
    url,
    `insert into users values (0, 1, 0, 0, now());
     insert into postings
     select 0, 1, n, 'settle', 0, 0, 0, 0, 0, now() from generate_series(1, 20000) n`,
  )
}

test('an export whose reader goes away ends with a sentence and leaves nothing open', async (t) => {
  const url = await cloneDatabase(t)
  await longJournal(url)
  const { child, ended } = await start(t, ['export'], { DATABASE_URL: url })
  const { stdout } = child
  assert.ok(stdout !== null)
  await once(stdout, 'data')
  stdout.destroy()
  const { code, stderr } = await ended
  assert.deepEqual([code, stderr], [1, 'Nobody reads any more: not everything was printed.\n'])
})

test('an export holds nothing open for a reader who has stopped, and goes on when he does', async (t) => {
  const url = await cloneDatabase(t)
  await longJournal(url)
  // Ended where it has been in a transaction for so long and done nothing.
  const env = { DATABASE_URL: url, DATABASE_IDLE_TRANSACTION_TIMEOUT_SECONDS: '1' }
  const { child, ended, output } = await start(t, ['export'], env)
  const { stdout } = child
  assert.ok(stdout !== null)
  await once(stdout, 'data')
  stdout.pause()
  const open = `
    select count(*)::int as open from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null`
  await until('no transaction is open', async () => {
    const [row] = await query<{ open: number }>(url, open)
    return row?.open === 0
  })
  stdout.resume()
  const { code, stderr } = await ended
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(output()[0].match(/ ; at:/g)?.length, 20_000)
})
