import type { Db } from '../ports.ts'
import { ENTRIES_MAX, entriesByPeriod, type PeriodRow } from './statement-store.ts'

/** A period of a user's account: what it began with, what changed it, what it ended with. */
interface Period {
  readonly from: Date
  readonly entries: number
  /** What is the user's, held or not. */
  readonly opening: bigint
  readonly credited: bigint
  readonly debited: bigint
  readonly fees: bigint
  readonly closing: bigint
  /** What could be spent at the end. */
  readonly available: bigint
}

interface AccountStatement {
  /** Newest first. */
  readonly periods: readonly Period[]
  /** False: the user has more entries than are added up; the oldest period is not whole. */
  readonly complete: boolean
}

/** A user's account by month or day: it is counted back from what the user has now. */
export async function accountStatement(
  db: Db,
  userId: bigint,
  by: 'day' | 'month',
): Promise<AccountStatement> {
  const rows = await entriesByPeriod(db.of(userId), userId, by)
  const entries = rows.reduce((sum, row) => sum + row.entries, 0)
  return { periods: countBack(rows), complete: entries < ENTRIES_MAX }
}

function countBack(rows: readonly PeriodRow[]): Period[] {
  const [first] = rows
  if (first === undefined) return []
  let closing = first.availableNow + first.heldNow
  let spendable = first.availableNow
  return rows.map(({ from, entries, credited, debited, available, fees }) => {
    const opening = closing - credited - debited
    const period = { from, entries, opening, credited, debited, fees, closing }
    const shown = { ...period, available: spendable }
    closing = opening
    spendable -= available
    return shown
  })
}
