import type { CurrencyBooks } from './abroad.ts'
import { isSettled } from './drive.ts'
import type { Check, Run } from './inspect.ts'
import { wrapped } from '../../src/adapters/terminal.ts'

/** What a run came to, in figures. Durations are milliseconds. */
export interface Report {
  readonly ok: boolean
  readonly payments: number
  readonly users: number
  readonly clients: number
  readonly seed: number
  readonly accepted: number
  readonly refused: number
  readonly repeated: number
  readonly requests: number
  readonly accept_ms: number
  readonly accepted_per_second: number
  readonly accept_p50_ms: number
  readonly accept_p99_ms: number
  readonly settle_ms: number
  /** Accepted payments by status. */
  readonly statuses: Readonly<Record<string, number>>
  readonly attempts: number
  readonly retries: number
  readonly checks: readonly Check[]
  /** The ledger at the end, by currency. */
  readonly books: readonly CurrencyBooks[]
}

/** Put the figures of a run together. `settleMs` is from the last answer to the last settlement. */
export function report(
  options: { readonly users: number; readonly clients: number; readonly seed: number },
  run: Run,
  settleMs: number,
  checks: readonly Check[],
): Omit<Report, 'books'> {
  const { accepted } = run
  const seen = accepted.ids.map((id) => run.payments.get(id))
  const statuses: Record<string, number> = { success: 0, failed: 0, unknown: 0 }
  for (const payment of seen) {
    const status = isSettled(payment) ? (payment?.status ?? 'lost') : 'lost'
    statuses[status] = (statuses[status] ?? 0) + 1
  }
  const attempts = seen.reduce((sum, payment) => sum + (payment?.attempts ?? 0), 0)
  const first = seen.filter((payment) => (payment?.attempts ?? 0) > 0).length
  return {
    ok: checks.every(({ ok }) => ok),
    payments: accepted.ids.length + accepted.refused,
    ...options,
    accepted: accepted.ids.length,
    refused: accepted.refused,
    repeated: accepted.repeated,
    requests: accepted.latenciesMs.length,
    accept_ms: Math.round(accepted.tookMs),
    accepted_per_second: Math.round((accepted.ids.length * 1_000) / accepted.tookMs),
    accept_p50_ms: quantile(accepted.latenciesMs, 0.5),
    accept_p99_ms: quantile(accepted.latenciesMs, 0.99),
    settle_ms: Math.round(settleMs),
    statuses,
    attempts,
    retries: attempts - first,
    checks,
  }
}

/** The value that the share `of` of an ascending list does not exceed, in tenths. */
function quantile(ascending: readonly number[], of: number): number {
  const at = Math.max(0, Math.ceil(ascending.length * of) - 1)
  return Math.round((ascending[at] ?? 0) * 10) / 10
}

/** What each status means for the money. */
const MEANINGS: Readonly<Record<string, string>> = {
  success: 'charged once, and on the ledger',
  failed: 'not charged, and holds released',
  unknown: 'may have been charged: held, and looked up',
  lost: 'neither final nor in doubt',
}

/** The report for a person at a terminal. */
export function format(figures: Report): string {
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`
  const p = `p50 ${figures.accept_p50_ms} ms, p99 ${figures.accept_p99_ms} ms`
  const rows: [string, string, string][] = [
    ['Accepted', count(figures.accepted), `in ${seconds(figures.accept_ms)}; ${p}`],
    ['', '', `${count(figures.accepted_per_second)} payments a second`],
    ['Refused', count(figures.refused), 'with 402: the balance did not cover them'],
    ['Repeated', count(figures.repeated), 'under the same Idempotency-Key'],
    ['Settled', '', `${seconds(figures.settle_ms)} after the last answer`],
    ['', '', ''],
    ...Object.entries(figures.statuses).map(([status, number]): [string, string, string] => [
      `  ${status}`,
      count(number),
      MEANINGS[status] ?? '',
    ]),
    ['', '', ''],
    ['Attempts', count(figures.attempts), `${count(figures.retries)} of them retries`],
  ]
  const lines = rows.map(([name, number, text]) =>
    `  ${name.padEnd(10)} ${number.padStart(9)}   ${text}`.trimEnd(),
  )
  const checks = figures.checks.map(
    ({ name, ok, detail }) =>
      `  ${ok ? 'ok    ' : 'FAILED'}  ${wrapped(`${name} (${detail})`, 10)}`,
  )
  const failed = figures.checks.filter(({ ok }) => !ok).length
  const verdict =
    failed === 0
      ? '  All checks passed.'
      : `  ${failed} of ${checks.length} checks failed: see FAILED above.`
  const parts = [lines, checks, booksLines(figures.books), [verdict]]
  return `\n${parts.map((part) => part.join('\n')).join('\n\n')}\n`
}

const ACCOUNTS = ['user', 'user_held', 'gateway', 'fees', 'losses', 'opening']

/** The books at the end: a line for each currency, which sums to zero. */
function booksLines(books: Report['books']): string[] {
  const row = (name: string, cells: readonly unknown[]) =>
    `  ${name.padEnd(5)}${cells.map((cell) => String(cell).padStart(12)).join('')}`
  const lines = books.map(({ currency, accounts }) => {
    return row(
      currency,
      ACCOUNTS.map((name) => accounts[name]),
    )
  })
  return [row('Books', ACCOUNTS), ...lines]
}

function count(number: number): string {
  return number.toLocaleString('en-US')
}
