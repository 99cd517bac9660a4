import { plusEach } from '../domain/ledger.ts'
import { RULE_CODES, RULES, type RuleCode, type Severity, type Subject } from './rules.ts'

/** One violation: the rule, and the row that violates it. */
export interface Finding {
  readonly rule: RuleCode
  readonly subject: Subject
  readonly id: bigint
  /** Where to look: the payment and the user that the row belongs to, as far as they are known. */
  readonly paymentId: bigint | null
  readonly userId: bigint | null
}

/** The accounts, in minor units. */
export interface AccountSums {
  readonly user: bigint
  readonly user_held: bigint
  readonly gateway: bigint
  readonly fees: bigint
  readonly opening: bigint
  readonly losses: bigint
}

/** What one statement saw, or several in one snapshot. */
export interface Chunk {
  readonly findings: readonly Finding[]
  /** Rows looked at. */
  readonly checked: Partial<Record<Subject, number>>
  /** Of those in the currency of the books; null where no user was looked at. */
  readonly accounts: AccountSums | null
  /** Of those in other currencies, by currency; not there where there are none. */
  readonly others?: ReadonlyMap<string, AccountSums>
  /** How many statements that took; one, if it is left out. */
  readonly steps?: number
  /** Where the next chunk begins; null after the last one. */
  readonly next: bigint | null
}

/** A rule's part of a report. */
interface RuleReport {
  readonly rule: RuleCode
  readonly severity: Severity
  readonly holds: string
  /** Rows looked at; 0: this pass did not look at any. */
  readonly checked: number
  readonly violations: number
  /** The first violations; `violations` is the complete count. */
  readonly examples: readonly Finding[]
  /**
   * Milliseconds of the statements that check it. Rules checked together share their statements.
   */
  readonly durationMs: number
}

/** What a pass over the books found. */
export interface Report {
  /** `full`: everything. `recent`: what may have changed lately; see `verifier.ts`. */
  readonly scope: 'full' | 'recent'
  /** False when a bound was reached before everything in scope was looked at. */
  readonly complete: boolean
  /** The shards that could not be checked to their end. */
  readonly missing: readonly number[]
  readonly startedAt: Date
  readonly durationMs: number
  /**
   * How long a snapshot was held at most, in milliseconds: one statement, but for very large rows.
   */
  readonly longestMs: number
  readonly statements: number
  readonly violations: number
  readonly checked: Readonly<Record<string, number>>
  /**
   * The sums of the accounts in the currency of the books. Chunks are seen at different moments, so
   * beside traffic the single sums are of no one moment; that they sum to zero holds always.
   */
  readonly accounts: AccountSums
  /** The same in other currencies. */
  readonly others: ReadonlyMap<string, AccountSums>
  readonly rules: readonly RuleReport[]
}

/** Collects chunks into a report. */
export interface Tally {
  add(chunk: Chunk, durationMs: number): void
  /** Rows of a kind looked at so far. */
  checked(subject: Subject): number
  report(
    at: Pick<Report, 'scope' | 'complete' | 'startedAt' | 'durationMs'> &
      Partial<Pick<Report, 'missing'>>,
  ): Report
}

const NOTHING: AccountSums = {
  user: 0n,
  user_held: 0n,
  gateway: 0n,
  fees: 0n,
  opening: 0n,
  losses: 0n,
}

/**
 * An empty tally that keeps the first `examplesMax` violations of each rule. Pure but for itself.
 */
export function tally(examplesMax: number): Tally {
  const counts = new Map<RuleCode, number>()
  const examples = new Map<RuleCode, Finding[]>()
  const checked = new Map<Subject, number>()
  const spent = new Map<Subject, number>()
  let accounts = NOTHING
  const others = new Map<string, AccountSums>()
  let longestMs = 0
  let statements = 0

  const note = (finding: Finding): void => {
    counts.set(finding.rule, (counts.get(finding.rule) ?? 0) + 1)
    const kept = examples.get(finding.rule) ?? []
    if (kept.length < examplesMax) examples.set(finding.rule, [...kept, finding])
  }
  const ruleReport = (rule: RuleCode): RuleReport => {
    const { subject, severity, holds } = RULES[rule]
    return {
      rule,
      severity,
      holds,
      checked: checked.get(subject) ?? 0,
      violations: counts.get(rule) ?? 0,
      examples: examples.get(rule) ?? [],
      durationMs: Math.round(spent.get(subject) ?? 0),
    }
  }
  return {
    add(chunk, durationMs) {
      statements += chunk.steps ?? 1
      longestMs = Math.max(longestMs, durationMs)
      chunk.findings.forEach(note)
      if (chunk.accounts !== null) accounts = plusEach(accounts, chunk.accounts)
      for (const [currency, sums] of chunk.others ?? []) {
        others.set(currency, plusEach(others.get(currency) ?? NOTHING, sums))
      }
      for (const [name, count] of Object.entries(chunk.checked)) {
        // Object.entries forgets the keys' type.
        const subject = name as Subject
        checked.set(subject, (checked.get(subject) ?? 0) + count)
        spent.set(subject, (spent.get(subject) ?? 0) + durationMs)
      }
    },
    checked: (subject) => checked.get(subject) ?? 0,
    report: (at) => ({
      missing: [],
      ...at,
      durationMs: Math.round(at.durationMs),
      longestMs: Math.round(longestMs),
      statements,
      violations: [...counts.values()].reduce((sum, count) => sum + count, 0),
      checked: Object.fromEntries(checked),
      accounts,
      others,
      rules: RULE_CODES.map(ruleReport),
    }),
  }
}

/** The rules that were violated, worst first, as `rule × count (payment 7, payment 9, …)`. */
export function summary(report: Report): string {
  const violated = report.rules.filter((rule) => rule.violations > 0)
  const worst = violated.toSorted(
    (one, other) => Number(other.severity === 'critical') - Number(one.severity === 'critical'),
  )
  return worst
    .map(({ rule, violations, examples }) => {
      const named = examples.slice(0, 3).map(nameOf).join(', ')
      return `${rule} × ${violations} (${named}${violations > 3 ? ', …' : ''})`
    })
    .join('; ')
}

/** Tables and sequences have no ids; they are named by their place in these lists. */
export const TABLES = [
  'users',
  'payments',
  'payment_tasks',
  'payment_attempts',
  'postings',
  'dead_letters',
  'operator_acts',
]
const SEQUENCES = ['users', 'payments', 'dead_letters']

/** A row as people name it. */
export function nameOf({ subject, id, paymentId, userId }: Finding): string {
  if (subject === 'ledger') return 'the ledger'
  if (subject === 'table') return `table ${TABLES[Number(id)]}`
  if (subject === 'sequence') return `sequence of ${SEQUENCES[Number(id)]}`
  if (subject === 'posting') return `posting of user ${userId}, payment ${paymentId}`
  if (subject === 'letter') return `letter ${id} of payment ${paymentId}`
  return subject === 'user' ? `user ${id}` : `payment ${id}`
}

function texts(accounts: AccountSums): Record<string, string> {
  return Object.fromEntries(Object.entries(accounts).map(([name, sum]) => [name, String(sum)]))
}

/**
 * A report as JSON. Ids and amounts are texts: damage may be larger than a JSON number can hold.
 */
export function reportJson(report: Report): object {
  return {
    ok: report.violations === 0 && report.missing.length === 0,
    scope: report.scope,
    complete: report.complete,
    ...(report.missing.length === 0 ? {} : { missing_shards: report.missing }),
    started_at: report.startedAt.toISOString(),
    duration_ms: report.durationMs,
    longest_statement_ms: report.longestMs,
    statements: report.statements,
    violations: report.violations,
    checked: report.checked,
    accounts_minor: texts(report.accounts),
    other_accounts_minor: Object.fromEntries(
      [...report.others].map(([currency, sums]) => [currency, texts(sums)]),
    ),
    rules: report.rules.map((rule) => ({
      rule: rule.rule,
      severity: rule.severity,
      holds: rule.holds,
      checked: rule.checked,
      violations: rule.violations,
      duration_ms: rule.durationMs,
      examples: rule.examples.map((example) => ({
        subject: example.subject,
        id: String(example.id),
        payment_id: example.paymentId === null ? null : String(example.paymentId),
        user_id: example.userId === null ? null : String(example.userId),
        name: nameOf(example),
      })),
    })),
  }
}
