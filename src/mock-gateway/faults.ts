/** A setting of the mock gateway: where it starts, how far it goes, and what it does. */
interface FaultSetting {
  readonly initial: number
  readonly max: number
  readonly description: string
}

/** What can go wrong with a charge, each with its chance. At most one of them hits a request. */
export const CHANCES = {
  timeout_before: chance(0.05, 'Executes nothing and holds the reply for `timeout_ms`.'),
  timeout_after: chance(0.05, 'Executes, and holds the reply for `timeout_ms`.'),
  late_execute: chance(0, 'Holds the reply for `timeout_ms`, and executes after `late_ms`.'),
  error_before: chance(0.2, 'Answers 502 without executing.'),
  error_after: chance(0.05, 'Executes, and answers 502.'),
  rate_limited: chance(0, 'Answers 429 with Retry-After, without executing.'),
  decline: chance(0, 'Declines the charge with 402, for good.'),
  reset_before: chance(0, 'Resets the connection without executing.'),
  reset_after: chance(0, 'Executes, and resets the connection.'),
  truncated: chance(0, 'Executes, and ends the connection in the middle of the body.'),
  wrong_body: chance(0, 'Executes, and answers 200 with an HTML page.'),
  wrong_amount: chance(0, 'Executes, and answers with another amount.'),
  slow_drip: chance(0, 'Executes, and sends the body byte by byte over `timeout_ms`.'),
  pending: chance(0, 'Answers 202 `pending`, and executes after `late_ms`.'),
  rejected: chance(0, 'Refuses the request with 422 `rejected`, without executing.'),
  wrong_credential: chance(0, 'Answers 401 with a page, without executing.'),
  asks_payer: chance(0, 'Answers 202 `pending` with a page on which the payer says yes or no.'),
} as const satisfies Record<string, FaultSetting>

/** How long and how much. Milliseconds where the name ends in `_ms`. */
const VALUES = {
  latency_ms: value(0, 60_000, 'How long every reply takes.'),
  latency_jitter_ms: value(0, 60_000, 'Up to this much more, by chance.'),
  timeout_ms: value(1_500, 60_000, 'How long a timeout holds the reply.'),
  late_ms: value(3_000, 604_800_000, 'When a late charge is executed, counted from its request.'),
  retry_after_seconds: value(1, 3_600, 'What a 429 asks for.'),
  seed: value(1, 0xffff_ffff, 'Where chance starts: the same seed repeats a run.'),
} as const satisfies Record<string, FaultSetting>

const { asks_payer: asksPayer, ...FIRST } = CHANCES

/** Every setting by its name on the wire. What came later is last: answers only gain fields. */
export const FAULT_SETTINGS = {
  ...FIRST,
  ...VALUES,
  lookup_errors: chance(0, 'Answers a lookup with 502.'),
  asks_payer: asksPayer,
} as const satisfies Record<string, FaultSetting>

/** One fault of a charge. */
export type Fault = keyof typeof CHANCES

/** All settings and their values. Chances are 0 … 1. */
export type Faults = { readonly [name in keyof typeof FAULT_SETTINGS]: number }

/** The values a gateway starts with: 10 % timeouts, 25 % errors, 65 % of charges go well. */
export const FAULTS_DEFAULT: Faults = Object.fromEntries(
  Object.entries(FAULT_SETTINGS).map(([name, { initial }]) => [name, initial]),
) as Faults // The keys are the same.

/** A setting that cannot have the value asked for, and why. `name` is empty: it is about all. */
interface FaultProblem {
  readonly name: string
  readonly code: 'unknown' | 'out_of_range' | 'not_whole' | 'chances_above_one'
}

/** What `changeFaults` made of a change: the new values, or everything wrong with it. */
export type Changed =
  | { readonly ok: true; readonly faults: Faults }
  | { readonly ok: false; readonly problems: readonly FaultProblem[] }

/**
 * Change the settings that `change` names: all of them, or, if one cannot have its value, none. At
 * most one fault hits a request, so chances add up to 1 at most; those that are not named give way,
 * in proportion.
 */
export function changeFaults(faults: Faults, change: Readonly<Record<string, unknown>>): Changed {
  const problems = Object.entries(change).flatMap(([name, to]) => problemOf(name, to))
  if (problems.length > 0) return { ok: false, problems }
  const changed = { ...faults, ...change } as Faults // Only known names and numbers are left.
  const sum = (some: readonly Fault[]) => some.reduce((total, fault) => total + changed[fault], 0)
  const named = sum(FAULTS.filter((fault) => fault in change))
  if (named > 1 + ROUNDING)
    return { ok: false, problems: [{ name: '', code: 'chances_above_one' }] }
  const others = FAULTS.filter((fault) => !(fault in change))
  const left = Math.max(0, 1 - named)
  if (sum(others) <= left + ROUNDING) return { ok: true, faults: changed }
  const share = left / sum(others)
  const given = Object.fromEntries(others.map((fault) => [fault, changed[fault] * share]))
  return { ok: true, faults: { ...changed, ...given } }
}

function problemOf(name: string, to: unknown): readonly FaultProblem[] {
  if (!Object.hasOwn(FAULT_SETTINGS, name)) return [{ name, code: 'unknown' }]
  const { max } = FAULT_SETTINGS[name as keyof Faults] // Just checked.
  if (typeof to !== 'number' || !(to >= 0 && to <= max)) return [{ name, code: 'out_of_range' }]
  return isWhole(name) && !Number.isInteger(to) ? [{ name, code: 'not_whole' }] : []
}

/** Whether a setting takes whole numbers only; the others are chances. */
export function isWhole(name: string): boolean {
  return Object.hasOwn(VALUES, name)
}

/** What is to happen to one charge request. */
export interface Plan {
  readonly fault: Fault | null
  readonly latencyMs: number
}

const FAULTS = Object.keys(CHANCES) as readonly Fault[] // Keys of CHANCES, in its order.

/** By how much a sum of so many fractions may be off. */
const ROUNDING = Number.EPSILON * FAULTS.length

/**
 * Draw the plan for one request. Takes exactly two chances whatever the chances are, so that
 * changing one does not shift the chances of the requests that follow.
 */
export function draw(faults: Faults, random: () => number): Plan {
  let left = random()
  const latencyMs = faults.latency_ms + Math.floor(random() * faults.latency_jitter_ms)
  for (const fault of FAULTS) {
    if (left < faults[fault]) return { fault, latencyMs }
    left -= faults[fault]
  }
  return { fault: null, latencyMs }
}

function chance(initial: number, description: string): FaultSetting {
  return { initial, max: 1, description }
}

function value(initial: number, max: number, description: string): FaultSetting {
  return { initial, max, description }
}
