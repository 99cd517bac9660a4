import { RULES } from '../src/verify/rules.ts'
import { markdown, withTables } from './reply-table.ts'

/** The table of docs/ledger.md: every rule of the books, in the order of the report. */
const ROWS = Object.entries(RULES).map(([code, { severity, holds }]) => [
  `\`${code}\``,
  severity,
  holds,
])

/** The page with the rules as the code has them. */
export function withRules(page: string): string {
  return withTables(page, { rules: markdown([['rule', 'severity', 'what holds'], ...ROWS]) })
}
