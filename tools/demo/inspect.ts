import { fromWire } from '../../src/domain/money.ts'
import { printable } from '../../src/domain/printable.ts'
import { each, read } from '../client.ts'
import { isSettled, type Accepted, type Drive, type Seen, type Wire } from './drive.ts'
import { OPENING } from './plan.ts'

/** A promise of the service, and whether this run kept it. */
export interface Check {
  readonly name: string
  readonly ok: boolean
  /** What was counted, in a few words. */
  readonly detail: string
}

/** What the mock gateway says about everything it ever did. */
interface Audit {
  readonly executed: number
  readonly executed_amount: string
  readonly charged_twice_count: number
}

/** What a run came to. */
export interface Run {
  readonly userIds: readonly number[]
  readonly accepted: Accepted
  readonly payments: ReadonlyMap<number, Seen>
  /** Before the first payment. */
  readonly auditBefore: Audit
  /** The demo started the service, so that nobody else has used it. */
  readonly alone: boolean
}

interface Ledger {
  readonly accounts: { readonly user: Wire; readonly user_held: Wire }
  readonly sum: Wire
  readonly entries: number
}

interface Transactions {
  readonly data: readonly { readonly balance: Wire; readonly held: Wire }[]
  readonly next_cursor: string | null
}

/** A user's money in minor units: as stored, and as the entries of the ledger add up. */
interface Account {
  readonly available: bigint
  readonly held: bigint
  readonly availableByEntries: bigint
  readonly heldByEntries: bigint
}

/** Lookups of payments in doubt go on and move money between two reads: a look may be repeated. */
const LOOKS_MAX = 4

/** Check a run: against the ledger, the balances, and the gateway's own journal. */
export async function inspect(drive: Drive, gateway: string, run: Run): Promise<Check[]> {
  const inDoubt = [...run.payments.values()].some(({ status }) => status === 'unknown')
  for (let looks = 1; ; looks += 1) {
    const checks = await look(drive, gateway, run)
    if (checks.every(({ ok }) => ok) || !inDoubt || looks === LOOKS_MAX) return checks
  }
}

async function look(drive: Drive, gateway: string, run: Run): Promise<Check[]> {
  const accounts = new Map<number, Account>()
  await each(run.userIds, drive.clients, async (id) => {
    accounts.set(id, await account(drive, id))
  })
  const ledger = await read<Ledger>(drive.api, '/api/v1/ledger')
  const audit = await readAudit(drive, gateway)
  return [
    answers(run),
    repeats(run),
    nothingLost(run),
    nobodyTwice(audit),
    executed(run, audit),
    booksBalance(ledger),
    balancesMatchEntries(accounts),
    balancesMatchOutcomes(run, accounts),
    ...(run.alone ? [balancesMatchLedger(ledger, accounts)] : []),
  ]
}

/** What the mock gateway at the path `gateway` has done so far. */
export function readAudit(drive: Drive, gateway: string): Promise<Audit> {
  return read<Audit>(drive.api, `${gateway}/audit`)
}

async function account(drive: Drive, id: number): Promise<Account> {
  const user = await read<{ balance: Wire; held: Wire }>(drive.api, `/api/v1/users/${id}`)
  let availableByEntries = 0n
  let heldByEntries = 0n
  let cursor: string | null = ''
  while (cursor !== null) {
    const query: string = cursor === '' ? 'limit=500' : `limit=500&cursor=${cursor}`
    const path = `/api/v1/users/${id}/transactions?${query}`
    const page: Transactions = await read<Transactions>(drive.api, path)
    for (const entry of page.data) {
      availableByEntries += minor(entry.balance)
      heldByEntries += minor(entry.held)
    }
    cursor = page.next_cursor
  }
  const { balance, held } = user
  return { available: minor(balance), held: minor(held), availableByEntries, heldByEntries }
}

/** Minor units of an amount or total of the API, which may be negative. Throws for what is none. */
export function minor(wire: Wire): bigint {
  const amount = fromWire(wire, 2)
  if (amount === null)
    throw new Error(`The service answered with an amount of ${printable(String(wire))}.`)
  return amount
}

function answers({ accepted }: Run): Check {
  const wrong = [...accepted.wrong].map(([what, count]) => `${count} x ${what}`)
  return {
    name: 'Every request was answered with 202, or with 402 where the balance was too small',
    ok: wrong.length === 0,
    detail: wrong.length === 0 ? `${accepted.latenciesMs.length} requests` : wrong.join(', '),
  }
}

function repeats({ accepted: { repeated, repeatedDifferently } }: Run): Check {
  return {
    name: 'Every repeated request got the first answer again, and made no second payment',
    ok: repeatedDifferently === 0,
    detail: repeatedDifferently === 0 ? `${repeated} repeated` : `${repeatedDifferently} did not`,
  }
}

function nothingLost({ accepted, payments }: Run): Check {
  const lost = accepted.ids.filter((id) => !isSettled(payments.get(id)))
  const distinct = new Set(accepted.ids).size === accepted.ids.length
  return {
    name: 'No accepted payment is lost: each is final, or known to be in doubt',
    ok: lost.length === 0 && distinct,
    detail: distinct ? `${accepted.ids.length} accepted, ${sample(lost)} lost` : 'an id came twice',
  }
}

function nobodyTwice(audit: Audit): Check {
  return {
    name: "Nothing was charged twice, by the gateway's own journal",
    ok: audit.charged_twice_count === 0,
    detail: `${audit.executed} charges, ${audit.charged_twice_count} payments charged twice`,
  }
}

/**
 * The gateway executed each success of ours, for the same amount, and nothing that failed; what is
 * in doubt it may have executed. On a service that others use too, only the lower bound is sure.
 */
function executed(run: Run, audit: Audit): Check {
  const all = [...run.payments.values()]
  const successes = all.filter(({ status }) => status === 'success')
  const doubts = all.filter(({ status }) => status === 'unknown')
  const count = audit.executed - run.auditBefore.executed
  const amount = minor(audit.executed_amount) - minor(run.auditBefore.executed_amount)
  const refs = new Set(successes.map((payment) => payment.gateway_ref))
  const enough = count >= successes.length && amount >= total(successes)
  const tooMany =
    count > successes.length + doubts.length || amount > total(successes) + total(doubts)
  return {
    name: 'Successes are what the gateway executed',
    ok: enough && refs.size === successes.length && !(run.alone && tooMany),
    detail: `${successes.length} successes, ${doubts.length} in doubt, ${count} executed`,
  }
}

function total(payments: readonly Seen[]): bigint {
  return payments.reduce((sum, { amount }) => sum + minor(amount), 0n)
}

function booksBalance(ledger: Ledger): Check {
  return {
    name: 'The ledger sums to zero',
    ok: minor(ledger.sum) === 0n,
    detail: `${ledger.entries} entries, sum ${ledger.sum}`,
  }
}

function balancesMatchEntries(accounts: ReadonlyMap<number, Account>): Check {
  const wrong = [...accounts].filter(
    ([, own]) => own.available !== own.availableByEntries || own.held !== own.heldByEntries,
  )
  return {
    name: "Every user's balance and held money equal the user's ledger entries",
    ok: wrong.length === 0,
    detail: `${accounts.size} users, ${sample(wrong.map(([id]) => id))} differ`,
  }
}

/** From the outcomes alone, and without users with payments in doubt: theirs still move. */
function balancesMatchOutcomes(run: Run, accounts: ReadonlyMap<number, Account>): Check {
  const expected = new Map(run.userIds.map((id) => [id, OPENING]))
  const open = new Set<number>()
  for (const payment of run.payments.values()) {
    const { user_id: id, status, type } = payment
    const [amount, commission] = [minor(payment.amount), minor(payment.commission)]
    const change = type === 'deposit' ? amount - commission : -amount - commission
    if (status === 'success') expected.set(id, (expected.get(id) ?? 0n) + change)
    else if (status !== 'failed') open.add(id)
  }
  const closed = [...expected].filter(([id]) => !open.has(id))
  const wrong = closed.filter(
    ([id, available]) => accounts.get(id)?.available !== available || accounts.get(id)?.held !== 0n,
  )
  return {
    name: "Every user's balance is what the outcomes of the user's payments make it",
    ok: wrong.length === 0,
    detail:
      `${closed.length} users without a payment in doubt, ` +
      `${sample(wrong.map(([id]) => id))} differ`,
  }
}

function balancesMatchLedger(ledger: Ledger, accounts: ReadonlyMap<number, Account>): Check {
  const all = [...accounts.values()]
  const available = all.reduce((sum, own) => sum + own.available, 0n)
  const held = all.reduce((sum, own) => sum + own.held, 0n)
  const { user, user_held: userHeld } = ledger.accounts
  return {
    name: 'All balances together are what the ledger owes to users',
    ok: available === minor(user) && held === minor(userHeld),
    detail: `${user} to spend, ${userHeld} held`,
  }
}

/** How many, and a few of them by id. */
function sample(ids: readonly number[]): string {
  if (ids.length === 0) return '0'
  const few = ids.slice(0, 5).join(', ')
  return `${ids.length} (${few}${ids.length > 5 ? ', …' : ''})`
}
