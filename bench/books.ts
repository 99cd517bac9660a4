import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Scenario } from '../tools/load/report.ts'
import type { Database, Rig } from './rig.ts'

type Books = NonNullable<Scenario['books']>

/**
 * What must be zero whatever happened: users whose balance is not the sum of their postings,
 * entries that do not add up, payments whose end has not exactly one settlement or that settled
 * without an end, withdrawals whose hold is not accounted for, and open payments without a task or
 * the reverse.
 */
const CHECKS = `
  select
    (select count(*) from users u left join (
      select user_id, sum(user_available) as available, sum(user_held) as held
      from postings group by user_id
    ) p on p.user_id = u.id
    where u.available <> coalesce(p.available, 0) or u.held <> coalesce(p.held, 0)
  )::int as balances,
    (select count(*) from (
      select sum(user_available + user_held + gateway + fees + opening) as total from postings
    ) s where total <> 0)::int as sums,
    (select count(*) from payments where status = 'success')::int as successes,
    (select count(*) from postings where kind = 'settle')::int as settlements,
    (select count(*) from payments p where status = 'success' and not exists (
      select from postings where shard = p.shard and user_id = p.user_id and payment_id = p.id
        and kind = 'settle'))::int as unsettled,
    (select count(*) from payments p where type = 'withdraw'
      and status in ('new', 'unknown', 'success') and not exists (
      select from postings where shard = p.shard and user_id = p.user_id and payment_id = p.id
        and kind = 'hold'))::int as unheld,
    (select count(*) from payments p where status = 'new' and not exists (
      select from payment_tasks where shard = p.shard and payment_id = p.id))::int as taskless`

/** Add the books up in SQL, and let `payments verify` do so where there is one. */
export async function checkBooks(rig: Rig, databases: readonly Database[]): Promise<Books> {
  const texts: string[] = []
  let right = true
  for (const database of databases) {
    const problems = await problemsOf(database)
    if (problems.length > 0) right = false
    texts.push(problems.length === 0 ? 'balanced' : `${database.name}: ${problems.join(', ')}`)
    // Rows that the limit inserted by itself have no sequences or users' openings behind them.
    const verified = database.name.endsWith('_limit') ? null : await verify(rig, database)
    if (verified !== null && verified !== 'clean') right = false
    if (verified !== null) texts.push(`payments verify: ${verified}`)
  }
  return { right, text: [...new Set(texts)].join('; ') }
}

async function problemsOf(database: Database): Promise<string[]> {
  const [row] = await database.sql<Record<string, number>>(CHECKS)
  const { successes = 0, settlements = 0, ...zeroes } = row ?? {}
  const problems = Object.entries(zeroes).filter(([, count]) => count !== 0)
  const texts = problems.map(([name, count]) => `${count} ${name}`)
  if (successes !== settlements) texts.push(`${successes} successes, ${settlements} settlements`)
  return texts
}

const run = promisify(execFile)

/** Null when this version has no such command. */
async function verify(rig: Rig, database: Database): Promise<string | null> {
  const options = { env: { PATH: process.env.PATH, DATABASE_URL: database.url }, timeout: 300_000 }
  try {
    const { stdout } = await run(process.execPath, [rig.program, '--help'], options)
    if (!/^\s+verify\b/m.test(stdout)) return null
    await run(process.execPath, [rig.program, 'verify', '--json'], options)
    return 'clean'
  } catch (error) {
    return `exit code ${String((error as { code?: unknown }).code)}`
  }
}
