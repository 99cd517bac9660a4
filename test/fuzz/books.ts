import type { Target } from '../hostile/target.ts'
import type { Finding } from './oracle.ts'

/** What the books must come to, whatever was sent: each statement finds the rows that disagree. */
const BOOKS: Readonly<Record<string, string>> = {
  'ledgers that do not sum to zero': `
    select 1
    from postings
    having sum(user_available + user_held + gateway + fees + losses + opening) <> 0`,
  'users whose balance or hold is not the sum of their entries': `
    select id
    from users
    left join (
      select user_id, sum(user_available) as available, sum(user_held) as held
      from postings
      group by user_id
    ) booked on booked.user_id = users.id
    where users.available <> coalesce(booked.available, 0)
      or users.held <> coalesce(booked.held, 0)`,
  'payments that succeeded without exactly one settlement': `
    select id
    from payments
    where status = 'success' and 1 <> (
      select count(*)
      from postings
      where user_id = payments.user_id and payment_id = payments.id and kind = 'settle')`,
  'payments that failed and were settled': `
    select id
    from payments
    join postings on postings.user_id = payments.user_id and payment_id = payments.id
    where status = 'failed' and kind = 'settle'`,
  'open payments without a task': `
    select id
    from payments
    where status = 'new' and id not in (select payment_id from payment_tasks)`,
  'users with less than nothing': `
    select id
    from users
    where available < 0 or held < 0`,
}

/** Log lines shown; the first ones tell most. */
const BUGS_SHOWN_MAX = 20

/** The rules that the books break, with how often, and the bugs that the service logged. */
export async function checkBooks(target: Target): Promise<Finding[]> {
  await target.quiet()
  const found: Finding[] = []
  for (const [what, text] of Object.entries(BOOKS)) {
    const rows = await target.sql(text)
    if (rows.length === 0) continue
    found.push({ fault: 'books_broken', what: `${rows.length} ${what}`, request: 'all of them' })
  }
  const bugs = target.bugs.slice(0, BUGS_SHOWN_MAX)
  return [
    ...found,
    ...bugs.map((line): Finding => {
      return { fault: 'logged_a_bug', what: line.slice(0, 600), request: 'see its log' }
    }),
  ]
}
