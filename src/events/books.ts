import { writeJson } from '../domain/exact-json.ts'
import type { Db } from '../ports.ts'
import type { Report } from '../verify/report.ts'
import { tellEvent } from './store.ts'

/** A rule and how many rows violate it. */
interface Broken {
  readonly rule: string
  readonly violations: number
}

/**
 * Tell those who asked for it that a check of the books has found something. `before` is what the
 * check before it found, null: there was none, or its result counts for nothing. What is broken in
 * the same way is not told again.
 */
export async function tellBroken(
  db: Db,
  { scope, startedAt, violations, rules }: Report,
  before: readonly Broken[] | null,
): Promise<void> {
  const found = brokenOf(rules)
  const [first] = db.shards
  if (violations === 0 || first === undefined) return
  if (before !== null && writeJson(brokenOf(before)) === writeJson(found)) return
  const timestamp = startedAt.toISOString()
  const data = { scope, checked_at: timestamp, violations, rules: found }
  await tellEvent(first, 'books.broken', writeJson({ type: 'books.broken', timestamp, data }))
}

function brokenOf(rules: readonly Broken[]): Broken[] {
  return rules
    .filter(({ violations }) => violations > 0)
    .map(({ rule, violations }) => ({ rule, violations }))
}
