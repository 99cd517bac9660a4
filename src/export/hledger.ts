import { CURRENCIES, exponentOf } from '../domain/currency.ts'
import { ACCOUNT_NAMES, accountName, type Entry } from '../domain/ledger.ts'
import { formatMoney } from '../domain/money.ts'
import { readOneSnapshot } from '../ledger/store.ts'
import type { Db, Tx } from '../ports.ts'
import { eachInTurn, whole } from '../each-shard.ts'
import { postingsBehind, type JournalPlace, type Posted } from './store.ts'

export interface ExportWorld {
  readonly db: Db
  /** Keep a long text for a reader who takes it at his own pace. */
  readonly spool: () => Promise<Spool>
}

interface Spool {
  fill(parts: AsyncIterable<string>): Promise<void>
  parts(): AsyncIterable<string>
  close(): Promise<void>
}

/** Takes a part of the text; resolves when there is room for the next. */
type Write = (text: string) => Promise<void>

/** Entries that are read at a time. */
const PAGE_MAX = 5_000

/**
 * Write the journal as one that hledger reads: a transaction for each entry, and behind the last of
 * a user an assertion that the stored balances are what the entries come to. A shard is of one
 * moment. It is read as fast as the database gives it and kept, and no transaction is open while
 * somebody reads what was kept. However long the journal is, one page of it is in memory.
 */
export async function exportHledger(
  world: ExportWorld,
  write: Write,
  pageMax = PAGE_MAX,
): Promise<void> {
  const { db } = world
  await write(header(db.currency))
  const spool = await world.spool()
  try {
    // Behind one that failed, the journal has no use any more.
    let well = true
    whole(
      await eachInTurn(db.shards, async (shard) => {
        if (!well) return
        well = false
        // Tried again, it begins anew.
        await shard.transaction((tx) => spool.fill(sections(tx, db.currency, pageMax)))
        for await (const part of spool.parts()) await write(part)
        well = true
      }),
    )
  } finally {
    await spool.close()
  }
}

/** The journal of a shard as it is now, page by page. */
async function* sections(tx: Tx, currency: string, pageMax: number): AsyncGenerator<string> {
  await readOneSnapshot(tx)
  let place: JournalPlace | null = null
  let open: Section | null = null
  for (;;) {
    const page: Posted[] = await postingsBehind(tx, place, pageMax)
    let text = ''
    for (const posted of page) {
      if (open !== null && open.last.userId !== posted.userId) text += assertion(open, currency)
      open = sectionWith(open, posted)
      text += transaction(posted, posted.currency ?? currency)
    }
    place = page.at(-1) ?? null
    if (page.length < pageMax && open !== null) text += assertion(open, currency)
    if (text !== '') yield text
    if (page.length < pageMax) return
  }
}

/** The entries of one user so far. */
interface Section {
  readonly last: Posted
  /** The latest day: payments are in the order of their ids, which is not quite that of time. */
  readonly day: string
}

function sectionWith(open: Section | null, posted: Posted): Section {
  const day = dayOf(posted.createdAt)
  const later = open !== null && open.last.userId === posted.userId && open.day > day
  return { last: posted, day: later ? open.day : day }
}

/** How amounts of every currency are written, so that each is read with its own decimals. */
function header(currency: string): string {
  const commodities = [...CURRENCIES].map(([code, exponent]) => {
    const sample = exponent === 0 ? '1000.' : formatMoney(10n ** BigInt(3 + exponent), exponent)
    return `commodity ${sample} ${code}`
  })
  return (
    '; The journal of Payments; its books are kept in ' +
    `${currency}.\n\n${commodities.join('\n')}\n`
  )
}

/** An entry as a transaction: one line for each account that it moves, two at least. */
function transaction(posted: Posted, currency: string): string {
  const { paymentId, userId, kind, createdAt } = posted
  const code = paymentId === 0n ? '' : ` (${paymentId})`
  const legs = ACCOUNT_NAMES.filter((account) => posted[account] !== 0n)
  const shown = legs.length === 0 ? (['user', 'opening'] as const) : legs
  const lines = shown.map((account) => line(accountOf(account, userId), posted[account], currency))
  const head = `\n${dayOf(createdAt)}${code} ${kind} of user ${userId}`
  return `${head}  ; at:${createdAt.toISOString()}\n${lines.join('')}`
}

/** Nothing is moved, and the balances are what is stored. */
function assertion({ last, day }: Section, books: string): string {
  const { userId, available, reserved } = last
  const currency = last.currency ?? books
  const check = (account: 'user' | 'held', balance: bigint) => {
    const moved = line(accountOf(account, userId), 0n, currency).trimEnd()
    return `${moved} = ${amount(balance, currency)}\n`
  }
  const head = `\n${day} balances of user ${userId}\n`
  return head + check('user', available) + check('held', reserved)
}

/** Users have an account each, below the one of all. */
function accountOf(account: (typeof ACCOUNT_NAMES)[number], userId: Entry['userId']): string {
  const name = accountName(account)
  return account === 'user' || account === 'held' ? `${name}:${userId}` : name
}

function line(account: string, minor: bigint, currency: string): string {
  return `    ${account}  ${amount(minor, currency)}\n`
}

function amount(minor: bigint, currency: string): string {
  const exponent = exponentOf(currency)
  if (exponent === undefined) throw new Error(`${currency} is no currency of ISO 4217.`)
  return `${formatMoney(minor, exponent)} ${currency}`
}

function dayOf(time: Date): string {
  return time.toISOString().slice(0, 10)
}
