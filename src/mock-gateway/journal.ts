import {
  closeSync,
  existsSync,
  fchmodSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs'
import type { Exponent } from '../domain/currency.ts'
import { formatMoney, parseMoney } from '../domain/money.ts'
import type { Fault } from './faults.ts'
import { decimalsOf, emptyGivenBack, type GivenBack, type Returned } from './given-back.ts'
import type { Charge, Order } from './orders.ts'

/** What was done about a request when it came in. */
export type Act =
  | 'executed'
  | 'declined'
  | 'replayed'
  | 'conflict'
  | 'in_progress'
  | 'will_execute'
  | 'asked'
  | 'nothing'
  | 'returned'

/** One request as it was seen. */
export interface Seen {
  readonly at: Date
  readonly key: string | null
  readonly paymentId: number
  readonly amount: bigint
  readonly currency?: string
  readonly type: Order['type'] | 'return'
  readonly act: Act
  readonly fault: Fault | null
}

/** The answer to "was anything charged twice?". */
export interface Audit {
  /** Orders settled: executed and declined. */
  readonly charges: number
  readonly executed: number
  readonly declined: number
  /**
   * Minor units of all charges and payouts executed, by currency; null are those that named none.
   */
  readonly executedAmounts: ReadonlyMap<string | null, bigint>
  readonly distinctPayments: number
  /** Requests that would have charged again, had their key not been known. Since the start. */
  readonly duplicatesRefused: number
  /** Requests under a known key with another body. Since the start. */
  readonly conflicts: number
  /** Executed charges of each payment that has more than one. */
  readonly chargedTwice: readonly (readonly Charge[])[]
}

/**
 * What the gateway knows. Charges are never forgotten; requests are kept up to a bound. With a
 * file, a charge is written to it before `settle` returns, and so survives the end of the process.
 */
interface Journal {
  find(key: string): Charge | undefined
  /** Settle an order for good. Throws when the file cannot be written: then nothing happened. */
  settle(order: Order, outcome: Charge['outcome'], at: Date, code?: string): Charge
  /** What was given back of a payment, and what of it came back. */
  givenBack(paymentId: number): GivenBack
  /** Keep that a payment came back. Throws like `settle`. */
  giveBack(returned: Omit<Returned, 'number' | 'at'>, at: Date): Returned
  /** Everything that came back, in order, behind the first `after`. */
  returned(after: number, limit: number): readonly Returned[]
  note(seen: Seen): void
  /** Requests, newest first. */
  requests(limit: number, offset: number): readonly Seen[]
  audit(): Audit
  /** Executed charges in the order they were executed, behind the first `after` of them. */
  executed(after: number, limit: number): readonly Charge[]
  /** Forget everything, in the file too. */
  clear(): void
  close(): void
}

/** How many requests are kept; 1,000 are enough to see what happened to one that went wrong. */
export const REQUESTS_MAX = 1_000

/**
 * A journal, read from the file at `path` if there is one. Throws if it cannot be opened. The
 * caller owns the file: of two that append, neither would know what the other has charged.
 */
export function openJournal(path?: string): Journal {
  const file = path === undefined ? null : openFile(path)
  const books = emptyBooks()
  const seen = ring()
  const counts = { duplicatesRefused: 0, conflicts: 0 }
  for (const line of path === undefined ? [] : readLines(path)) {
    if ('kind' in line) enterReturned(books, line)
    else enter(books, line)
  }

  return {
    find: (key) => books.byKey.get(key),
    settle(order, outcome, at, code) {
      const why = code === undefined ? {} : { code }
      const number = books.charges + 1
      const charge = { ...order, number, outcome, at: at.toISOString(), ...why }
      file?.append(toLine(charge))
      enter(books, charge)
      return charge
    },
    givenBack: (paymentId) => books.givenBack.get(paymentId) ?? emptyGivenBack(books, paymentId),
    giveBack(made, at) {
      const returned = { ...made, number: books.returned.length + 1, at: at.toISOString() }
      file?.append(toReturnLine(returned))
      enterReturned(books, returned)
      return returned
    },
    returned: (after, limit) => books.returned.slice(after, after + limit),
    note(request) {
      seen.push(request)
      if (request.act === 'conflict') counts.conflicts++
      if (request.act === 'replayed' || request.act === 'in_progress') counts.duplicatesRefused++
    },
    requests: seen.newest,
    audit: () => auditOf(books, counts),
    executed: (after, limit) => books.inOrder.slice(after, after + limit),
    clear() {
      file?.truncate()
      Object.assign(books, emptyBooks())
      Object.assign(counts, { duplicatesRefused: 0, conflicts: 0 })
      seen.clear()
    },
    close: () => file?.close(),
  }
}

/** Everything settled, arranged so that no question and no entry takes longer as it grows. */
interface Books {
  charges: number
  executed: number
  executedAmounts: Map<string | null, bigint>
  byKey: Map<string, Charge>
  /** All executed charges. */
  inOrder: Charge[]
  /** The first executed charge of each payment. */
  firsts: Map<number, Charge>
  /** All executed charges of the payments that have several. */
  twice: Map<number, Charge[]>
  /** Of the payments of which something went back. */
  givenBack: Map<number, GivenBack>
  returned: Returned[]
}

function emptyBooks(): Books {
  return {
    charges: 0,
    executed: 0,
    executedAmounts: new Map(),
    byKey: new Map(),
    inOrder: [],
    firsts: new Map(),
    twice: new Map(),
    givenBack: new Map(),
    returned: [],
  }
}

function enter(books: Books, charge: Charge): void {
  books.charges++
  if (charge.key !== null) books.byKey.set(charge.key, charge)
  if (charge.outcome !== 'executed') return
  books.executed++
  books.inOrder.push(charge)
  if (charge.type === 'refund') giveBack(books, charge.parentId ?? 0, charge.amount, null)
  else addTo(books.executedAmounts, charge)
  const first = books.firsts.get(charge.paymentId)
  if (first === undefined) {
    books.firsts.set(charge.paymentId, charge)
    return
  }
  const charges = books.twice.get(charge.paymentId)
  if (charges === undefined) books.twice.set(charge.paymentId, [first, charge])
  else charges.push(charge)
}

function addTo(amounts: Map<string | null, bigint>, charge: Charge): void {
  const currency = charge.currency ?? null
  amounts.set(currency, (amounts.get(currency) ?? 0n) + charge.amount)
}

function enterReturned(books: Books, returned: Returned): void {
  books.returned.push(returned)
  giveBack(books, returned.paymentId, 0n, returned)
}

function giveBack(books: Books, id: number, refunded: bigint, returned: Returned | null): void {
  const before = books.givenBack.get(id) ?? emptyGivenBack(books, id)
  const returns = returned === null ? before.returns : [...before.returns, returned]
  books.givenBack.set(id, { ...before, refunded: before.refunded + refunded, returns })
}

function auditOf(
  books: Books,
  counts: { readonly duplicatesRefused: number; readonly conflicts: number },
): Audit {
  return {
    charges: books.charges,
    executed: books.executed,
    declined: books.charges - books.executed,
    executedAmounts: books.executedAmounts,
    distinctPayments: books.firsts.size,
    ...counts,
    chargedTwice: [...books.twice.values()],
  }
}

/** The last `REQUESTS_MAX` requests, each overwriting the oldest. */
function ring() {
  const slots: Seen[] = []
  let count = 0
  return {
    push(seen: Seen): void {
      slots[count % REQUESTS_MAX] = seen
      count++
    },
    newest(limit: number, offset: number): readonly Seen[] {
      const end = Math.min(offset + limit, slots.length)
      const found: Seen[] = []
      for (let back = offset + 1; back <= end; back++) {
        const seen = slots[(count - back) % REQUESTS_MAX]
        if (seen !== undefined) found.push(seen)
      }
      return found
    },
    clear(): void {
      slots.length = 0
      count = 0
    },
  }
}

/**
 * An append-only file. Appending is synchronous: it takes about 2 µs, and then no reply can
 * overtake its line. Not fsynced: a line survives the process, not the loss of power.
 */
function openFile(path: string) {
  const fd = openSync(path, 'a', 0o600)
  // Also one that was made by a release that let everybody read it.
  fchmodSync(fd, 0o600)
  // A line that an earlier process or a full disk cut short must not run into the next one.
  let torn = true
  return {
    append(line: string): void {
      const bytes = Buffer.from(torn ? `\n${line}\n` : `${line}\n`)
      torn = true
      if (writeSync(fd, bytes) < bytes.length) throw new Error('journal: the disk is full')
      torn = false
    },
    truncate: () => ftruncateSync(fd),
    close: () => closeSync(fd),
  }
}

/** Written by hand, because it is a good part of the work of a charge. */
function toLine(charge: Charge): string {
  const { number, outcome, at, key, paymentId, userId, amount, commission, type } = charge
  const { parentId, currency, code } = charge
  const exponent = decimalsOf(charge)
  const parent = parentId === undefined ? '' : `,"parent_id":${parentId}`
  return (
    `{"number":${number},"outcome":"${outcome}","at":"${at}","key":${JSON.stringify(key)}` +
    `,"payment_id":${paymentId},"user_id":${userId},"amount":"${formatMoney(amount, exponent)}"` +
    `,"commission":"${formatMoney(commission, exponent)}","type":"${type}"${parent}` +
    `${currency === undefined ? '' : `,"currency":"${currency}"`}` +
    `${code === undefined ? '' : `,"code":"${code}"`}}`
  )
}

function toReturnLine({ paymentId, amount, ...returned }: Returned): string {
  const money = { payment_id: paymentId, amount: formatMoney(amount, decimalsOf(returned)) }
  return JSON.stringify({ ...returned, ...money })
}

/** Reads line by line, because a file can be longer than the longest string. */
function* readLines(path: string): Generator<Charge | Returned> {
  if (!existsSync(path)) return
  const bytes = readFileSync(path)
  let start = 0
  while (start < bytes.length) {
    const end = bytes.indexOf(10, start)
    const line = bytes.toString('utf8', start, end === -1 ? bytes.length : end)
    const read = parseLine(line)
    if (read !== null) yield read
    start = end === -1 ? bytes.length : end + 1
  }
}

/** A charge or a return as its line in the file. Amounts are decimal texts. */
type Line = { readonly payment_id: number; readonly amount: string } & (
  | Omit<Returned, 'paymentId' | 'amount'>
  | (Omit<Charge, 'paymentId' | 'userId' | 'amount' | 'commission' | 'parentId'> & {
      readonly user_id: number
      readonly commission: string
      readonly parent_id?: number
    })
)

/** Null for a line cut short: its request was never answered, because the line comes first. */
function parseLine(text: string): Charge | Returned | null {
  try {
    // Our own file: a line that parses was written by `toLine` or `toReturnLine`.
    const { payment_id: paymentId, amount: given, ...line } = JSON.parse(text) as Line
    const exponent = decimalsOf(line)
    const amount = minor(given, exponent)
    if ('kind' in line) return { ...line, paymentId, amount }
    const { user_id: userId, parent_id: parentId, ...charge } = line
    const parent = parentId === undefined ? {} : { parentId }
    const commission = minor(charge.commission, exponent)
    return { ...charge, paymentId, userId, ...parent, amount, commission }
  } catch {
    return null
  }
}

function minor(text: string, exponent: Exponent): bigint {
  const money = parseMoney(text, 0n, exponent)
  if (!money.ok) throw new Error(money.problem)
  return money.minor
}
