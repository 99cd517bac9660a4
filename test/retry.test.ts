import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import {
  backoffMs,
  LOOKUP_DELAYS_MS,
  next,
  type Call,
  type Decision,
  type RetryPolicy,
  type TaskState,
} from '../src/domain/retry.ts'

const GRACE_MS = 60_000
const LIFE_MS = 3_600_000

const POLICY: RetryPolicy = {
  attemptsMax: 3,
  backoffBaseMs: 1_000,
  backoffMaxMs: 30_000,
  jitterMs: 500,
  notFoundGraceMs: GRACE_MS,
  giveUpMs: 0,
  timeoutMs: 1_000,
  repeats: 'first_answer',
  keyLifeMs: 3_600_000,
  lookup: 'consistent',
}

const LOOKUPS = ['none', 'eventual', 'consistent'] as const
const ODD: RetryPolicy = { ...POLICY, repeats: 'may_execute_again' }
const ONCE: RetryPolicy = { ...POLICY, repeats: 'executes_once' }
const BLIND: RetryPolicy = { ...POLICY, lookup: 'none' }
const EVENTUAL: RetryPolicy = { ...POLICY, lookup: 'eventual' }

const paid: ChargeOutcome & LookupOutcome = { kind: 'success', gatewayRef: 'gw-1' }
const no: ChargeOutcome & LookupOutcome = { kind: 'declined', reason: 'http_402' }
const refused: ChargeOutcome = { kind: 'not_executed', reason: 'refused', retryAfterMs: null }
const busy: ChargeOutcome = { kind: 'not_executed', reason: 'http_429', retryAfterMs: 20_000 }
const timeout: ChargeOutcome = { kind: 'in_doubt', reason: 'timeout' }
const absent: LookupOutcome = { kind: 'not_found' }
const pending: LookupOutcome = { kind: 'pending' }
const silent: LookupOutcome = { kind: 'no_answer', reason: 'http_500' }

const charged = (outcome: ChargeOutcome): Call => ({ kind: 'charge', outcome })
/** A lookup; made as long ago as the doubt is old now, where nothing else is said. */
const asked = (outcome: LookupOutcome, doubtAgeMs: number | null = Infinity): Call => {
  return { kind: 'lookup', outcome, doubtAgeMs }
}

/** The calls of a claim that took no time: its lookups found the doubt as old as it is now. */
function atOnce(calls: readonly Call[], { doubtAgeMs }: TaskState): Call[] {
  return calls.map((call) =>
    call.kind === 'lookup' && call.doubtAgeMs === Infinity ? { ...call, doubtAgeMs } : call,
  )
}

const rejected: ChargeOutcome = { kind: 'rejected', reason: 'unknown_method' }
const foreign: ChargeOutcome = { kind: 'misconfigured', reason: 'http_401' }
const taken: ChargeOutcome = { kind: 'pending', reason: 'pending' }
const shifted: ChargeOutcome = { ...busy, unproven: true }

/**
 * A task in its words: which try this is, the age of its doubt, lookups. Its first charge is as old
 * as its doubt.
 */
const task = (attempt: number, doubtAgeMs: number | null = null, lookups = 0): TaskState => ({
  tries: attempt - 1,
  triedAgeMs: attempt > 1 ? 1_000 : null,
  lookups,
  pendings: 0,
  doubtAgeMs,
  firstSentAgeMs: doubtAgeMs ?? 0,
})

type Short = 'charge' | 'lookup' | Decision
const retry = (delayMs: number, reason: string, doubt = false): Decision => ({
  step: 'retry',
  delayMs,
  reason,
  doubt,
})
const free = (delayMs: number, reason: string, doubt = false): Decision => ({
  step: 'retry',
  delayMs,
  reason,
  doubt,
  free: true,
})
const doubt = (delayMs: number | null, reason: string, doubted = false): Decision => ({
  step: 'doubt',
  delayMs,
  reason,
  doubt: doubted,
})
const wait = (delayMs: number, reason: string, doubted = false): Decision => ({
  step: 'wait',
  delayMs,
  reason,
  doubt: doubted,
})
const working = (delayMs: number, reason = 'pending'): Decision => ({
  step: 'pending',
  delayMs,
  reason,
  doubt: true,
})
const fail = (reason: string): Decision => ({ step: 'fail', reason })
const SUCCEED: Decision = { step: 'succeed', gatewayRef: 'gw-1', twice: false }

const LEAVE: Decision = { step: 'leave', delayMs: 0 }
const later: ChargeOutcome = { kind: 'in_doubt', reason: 'http_503', retryAfterMs: 20_000 }
const slowly: LookupOutcome = { kind: 'no_answer', reason: 'http_503', retryAfterMs: 20_000 }

/** Others were answered well meanwhile. */
const odd = (attempt: number): TaskState => ({ ...task(attempt), odd: true })
/** In doubt under a key that the gateway may have forgotten. */
const old = (attempt: number): TaskState => ({ ...task(attempt, LIFE_MS * 0.9 - 1_000) })
/** The gateway has it in hand. */
const hand = (pendings: number, age = 0): TaskState => ({ ...task(1, age), pendings })
/** In doubt, and asked about out of turn. */
const question = (lookups: number): TaskState => ({
  ...task(2, GRACE_MS, lookups),
  lookupOnly: true,
})

function young(giveUpMs: number): RetryPolicy {
  return { ...POLICY, giveUpMs }
}

/** One try, and a while to give up. */
function eager(): RetryPolicy {
  return { ...POLICY, attemptsMax: 1, giveUpMs: LIFE_MS }
}

/** As many tries as these, and none that anybody remembers. */
const untried = (attempt: number): TaskState => ({ ...task(attempt), triedAgeMs: null })

function again({ kind, ...outcome }: ChargeOutcome, attempt = 1): Decision {
  const reason = 'reason' in outcome ? outcome.reason : kind
  return retry(1_000 * 2 ** (attempt - 1), reason)
}

type Row = readonly [name: string, TaskState, readonly Call[], RetryPolicy, Short]

/** What becomes of a claim, row by row. Chance is 0, so there is no jitter. */
const ROWS: readonly Row[] = [
  ['a new payment is charged', task(1), [], POLICY, 'charge'],
  ['a yes succeeds', task(1), [charged(paid)], POLICY, SUCCEED],
  ['a definite no fails at once', task(1), [charged(no)], POLICY, fail('http_402')],
  ['a no to a repeated charge fails', task(2, 0), [charged(no)], BLIND, fail('http_402')],

  ['not sent is retried', task(1), [charged(refused)], POLICY, retry(1_000, 'refused')],
  ['the wait doubles', task(2), [charged(refused)], POLICY, retry(2_000, 'refused')],
  ['429 waits as asked', task(1), [charged(busy)], POLICY, retry(20_000, 'http_429')],
  ['a longer backoff beats a 429', task(1), [charged(busy)], slow(), retry(25_000, 'http_429')],
  ['never sent fails in the end', task(3), [charged(refused)], POLICY, fail('refused')],
  ['never sent fails, lookup or not', task(3), [charged(refused)], BLIND, fail('refused')],

  ['a timeout is retried', task(1), [charged(timeout)], POLICY, retry(1_000, 'timeout', true)],
  ['a blind timeout is retried', task(1), [charged(timeout)], BLIND, retry(1_000, 'timeout', true)],
  ['doubt is looked up first', task(2, 0), [], POLICY, 'lookup'],
  ['doubt is looked up first, odd gateway', task(2, 0), [], ODD, 'lookup'],
  ['doubt without lookup is sent again', task(2, 0), [], BLIND, 'charge'],
  ['a lookup that says yes succeeds', task(2, 0), [asked(paid)], POLICY, SUCCEED],
  ['a lookup that says no fails', task(2, 0), [asked(no)], POLICY, fail('http_402')],
  [
    'a lookup that knows nothing lets the charge be sent',
    task(2, 0),
    [asked(absent)],
    POLICY,
    'charge',
  ],
  ['a lookup that fails lets the charge be sent', task(2, 0), [asked(silent)], POLICY, 'charge'],
  [
    'a charge the gateway works on is not sent',
    task(2, 0),
    [asked(pending)],
    POLICY,
    working(10_000),
  ],
  ['…not at the limit either', task(3, 0), [asked(pending)], POLICY, working(10_000)],

  ['the last timeout is looked up', task(3), [charged(timeout)], POLICY, 'lookup'],
  [
    'an earlier timeout is looked up at the end',
    task(3, 0),
    [asked(absent), charged(refused)],
    POLICY,
    'lookup',
  ],
  [
    'still in doubt is unknown',
    task(3),
    [charged(timeout), asked(silent)],
    POLICY,
    doubt(5_000, 'timeout', true),
  ],
  [
    'not found right after a timeout is no proof',
    task(3, GRACE_MS),
    [asked(absent), charged(timeout), asked(absent)],
    POLICY,
    doubt(5_000, 'timeout', true),
  ],
  [
    'in doubt without lookup is unknown',
    task(3),
    [charged(timeout)],
    BLIND,
    doubt(null, 'timeout', true),
  ],
  [
    'an earlier doubt without lookup is unknown',
    task(3, 0),
    [charged(refused)],
    BLIND,
    doubt(null, 'refused'),
  ],
  ['the last lookup may still say yes', task(3), [charged(timeout), asked(paid)], POLICY, SUCCEED],
  [
    'the last lookup may still say no',
    task(3),
    [charged(timeout), asked(no)],
    POLICY,
    fail('http_402'),
  ],

  [
    'an odd gateway is not charged again in doubt',
    task(2, 0),
    [asked(absent)],
    ODD,
    retry(2_000, 'not_found'),
  ],
  [
    '…nor after a lookup that failed',
    task(2, GRACE_MS),
    [asked(silent)],
    ODD,
    retry(2_000, 'http_500'),
  ],
  ['…but when the first is proven absent', task(2, GRACE_MS), [asked(absent)], ODD, 'charge'],
  [
    '…which it is not by an answer from within the grace, however late that is read',
    task(3, 2 * GRACE_MS),
    [asked(absent, GRACE_MS - 1)],
    ODD,
    doubt(5_000, 'not_found'),
  ],
  [
    '…and neither does it let a no of the repeat end the payment',
    task(2, 2 * GRACE_MS),
    [asked(absent, GRACE_MS - 1), charged(no)],
    ONCE,
    'lookup',
  ],
  ['…and in doubt at the limit', task(3, 0), [asked(absent)], ODD, doubt(5_000, 'not_found')],
  [
    '…and never where it cannot be looked up',
    task(2, GRACE_MS),
    [],
    { ...ODD, lookup: 'none' },
    doubt(null, 'keys_not_honoured'),
  ],
  [
    '…nor where not found proves nothing',
    task(2, GRACE_MS),
    [asked(absent)],
    { ...ODD, lookup: 'eventual' },
    retry(2_000, 'not_found'),
  ],

  ['unknown is looked up', task(3, 0, 1), [], POLICY, 'lookup'],
  [
    'unknown stays so while nobody answers',
    task(3, 0, 1),
    [asked(silent)],
    POLICY,
    doubt(15_000, 'http_500'),
  ],
  [
    'unknown stays so while it is worked on',
    task(3, 0, 2),
    [asked(pending)],
    POLICY,
    doubt(60_000, 'pending'),
  ],
  ['unknown succeeds by a lookup', task(3, 0, 4), [asked(paid)], POLICY, SUCCEED],
  ['unknown fails by a lookup', task(3, 0, 4), [asked(no)], POLICY, fail('http_402')],
  [
    'not found before the grace is no proof',
    task(3, GRACE_MS - 1, 1),
    [asked(absent)],
    POLICY,
    doubt(15_000, 'not_found'),
  ],
  [
    'the grace counts from the last charge in doubt, however old the first is',
    { ...task(3, GRACE_MS - 1, 1), firstSentAgeMs: 10 * GRACE_MS },
    [asked(absent)],
    POLICY,
    doubt(15_000, 'not_found'),
  ],
  [
    'not found after the grace is proof',
    task(3, GRACE_MS, 1),
    [asked(absent)],
    POLICY,
    fail('not_executed'),
  ],
  [
    'eventual not found is never proof',
    task(3, 1e12, 9),
    [asked(absent)],
    EVENTUAL,
    doubt(86_400_000, 'not_found'),
  ],
  [
    'unknown without lookup waits for an operator',
    task(3, 0, 1),
    [],
    BLIND,
    doubt(null, 'lookup_unavailable'),
  ],

  ['a crash loop past the limit is looked up', task(4, 0), [], POLICY, 'lookup'],
  ['…and unknown where it cannot be', task(4, 0), [], BLIND, doubt(null, 'worker_lost')],
  [
    '…and unknown while nobody knows',
    task(4, 0),
    [asked(absent)],
    POLICY,
    doubt(5_000, 'not_found'),
  ],
  [
    '…and failed when proven absent',
    task(4, GRACE_MS),
    [asked(absent)],
    POLICY,
    fail('not_executed'),
  ],

  [
    'refused before the first try is old enough is retried, whatever the limit',
    task(9),
    [charged(refused)],
    young(1_001),
    free(30_000, 'refused'),
  ],
  ['…once it has an age', untried(9), [charged(refused)], young(1_001), retry(30_000, 'refused')],
  ['…which a first try gives it', task(1), [charged(refused)], eager(), retry(1_000, 'refused')],
  [
    '…and then the last is not used up',
    task(2),
    [charged(refused)],
    eager(),
    free(2_000, 'refused'),
  ],
  [
    '…however little it may wait',
    task(3),
    [charged(refused)],
    young(LIFE_MS),
    free(4_000, 'refused'),
  ],
  ['…nor in doubt', task(3, 1_000), [charged(busy)], young(LIFE_MS), free(20_000, 'http_429')],
  ['…and fit for another', task(3, 1_000), [charged(refused)], young(1_000), 'lookup'],
  ['…for as long as the key lives', old(3), [charged(refused)], young(LIFE_MS), 'lookup'],
  ['…but a charge in doubt uses it up', task(3), [charged(timeout)], young(LIFE_MS), 'lookup'],
  [
    'a refusal that may be another’s uses up nothing while it can be sent again',
    task(1),
    [charged(shifted)],
    young(1_001),
    free(20_000, 'http_429', true),
  ],
  [
    '…whatever was before',
    task(2, 5_000),
    [charged(shifted)],
    young(5_001),
    free(20_000, 'http_429', true),
  ],
  [
    '…and does once it is too old for that',
    task(1, 5_000),
    [charged(shifted)],
    young(5_000),
    retry(20_000, 'http_429', true),
  ],
  [
    '…nor where a repeated key may charge again',
    task(1),
    [charged(shifted)],
    { ...ODD, lookup: 'none', giveUpMs: LIFE_MS },
    doubt(null, 'http_429', true),
  ],
  ['…and fails when it is', task(9), [charged(refused)], young(1_000), fail('refused')],
  ['a rejected request is retried', task(1), [charged(rejected)], POLICY, again(rejected)],
  ['…and fails as rejected', task(3), [charged(rejected)], POLICY, fail('rejected')],
  ['…which says nothing of a doubt', task(2, 0), [charged(rejected)], BLIND, again(rejected, 2)],
  ['…nor at the limit', task(3, 0), [charged(rejected)], BLIND, doubt(null, 'unknown_method')],
  ['…but asks, where it can', task(3, 0), [charged(rejected)], POLICY, 'lookup'],
  [
    'a wrong credential uses up nothing',
    task(3),
    [charged(foreign)],
    POLICY,
    wait(30_000, 'http_401'),
  ],
  ['…nor of a doubt', task(3, 0), [charged(foreign)], BLIND, wait(30_000, 'http_401')],
  ['…unless others are answered well', odd(1), [charged(foreign)], POLICY, again(foreign)],
  ['…then it is rejected in the end', odd(3), [charged(foreign)], POLICY, fail('rejected')],
  [
    'a refusal of a key that executes once may hide an execution',
    task(3, 0),
    [charged(rejected)],
    { ...ONCE, lookup: 'none' },
    doubt(null, 'unknown_method', true),
  ],
  [
    '…and so may a wrong credential',
    task(2, 0),
    [charged(foreign)],
    ONCE,
    wait(30_000, 'http_401', true),
  ],
  ['a no to it is none', task(2, 0), [charged(no)], ONCE, 'lookup'],
  ['a no to a key that may execute again is none', task(2, GRACE_MS), [charged(no)], ODD, 'lookup'],
  [
    '…unless the first is proven absent',
    task(2, GRACE_MS),
    [asked(absent), charged(no)],
    ODD,
    fail('http_402'),
  ],
  [
    'a no past the life of the key is none',
    { ...task(2, 0), firstSentAgeMs: LIFE_MS * 0.9 },
    [charged(no)],
    BLIND,
    doubt(null, 'http_402'),
  ],
  ['a first no is final wherever', task(1), [charged(no)], ODD, fail('http_402')],
  [
    'an answer that may be meant for another is no proof',
    task(3),
    [charged(shifted)],
    BLIND,
    doubt(null, 'http_429', true),
  ],

  ['taken and not finished is asked about', task(1), [charged(taken)], POLICY, working(10_000)],
  [
    '…and sent again where it cannot be',
    task(1),
    [charged(taken)],
    BLIND,
    retry(1_000, 'pending', true),
  ],
  ['…and only asked from then on', hand(1), [], POLICY, 'lookup'],
  ['…ever more rarely', hand(1), [asked(pending)], POLICY, working(30_000)],
  ['…also while nobody answers', hand(4), [asked(silent)], POLICY, working(900_000, 'http_500')],
  ['…daily in the end', hand(99), [asked(absent)], EVENTUAL, working(86_400_000, 'not_found')],
  ['…until it is proven absent', hand(1, GRACE_MS), [asked(absent)], POLICY, fail('not_executed')],

  [
    '503 with a time to wait is honoured',
    task(1),
    [charged(later)],
    POLICY,
    retry(20_000, 'http_503', true),
  ],
  [
    'a lookup’s time to wait is honoured',
    task(3, 0, 1),
    [asked(slowly)],
    POLICY,
    doubt(20_000, 'http_503'),
  ],

  ['a key that is too old is only looked up', old(2), [], POLICY, 'lookup'],
  ['…and not sent again', old(2), [asked(absent)], EVENTUAL, retry(2_000, 'not_found')],
  ['…but unknown in the end', old(3), [asked(absent)], EVENTUAL, doubt(5_000, 'not_found')],
  ['…unless it is proven absent', old(2), [asked(absent)], POLICY, 'charge'],
  ['…and unknown at once where nobody can be asked', old(2), [], BLIND, doubt(null, 'key_expired')],
  [
    'no retry is planned that the key would not live to see',
    { ...task(2, 0), firstSentAgeMs: LIFE_MS * 0.9 - 2_500 },
    [charged(timeout)],
    BLIND,
    doubt(null, 'timeout', true),
  ],
  [
    'a yes past the life of the key may be the second',
    { ...task(2, 0), firstSentAgeMs: LIFE_MS },
    [charged(paid)],
    BLIND,
    { step: 'succeed', gatewayRef: 'gw-1', twice: true },
  ],
  ['a yes of a lookup is the first, however late', old(2), [asked(paid)], POLICY, SUCCEED],

  ['a question out of turn asks', question(0), [], POLICY, 'lookup'],
  ['…and leaves everything as it is', question(0), [asked(absent)], POLICY, LEAVE],
  ['…while nobody answers', question(2), [asked(silent)], POLICY, LEAVE],
  ['…succeeds by a yes', question(0), [asked(paid)], POLICY, SUCCEED],
  ['…fails by a no', question(0), [asked(no)], POLICY, fail('http_402')],
  ['…learns that it is worked on', question(0), [asked(pending)], POLICY, working(10_000)],
  ['…fails what was unknown by proof', question(2), [asked(absent)], POLICY, fail('not_executed')],
]

function slow(): RetryPolicy {
  return { ...POLICY, backoffBaseMs: 25_000 }
}

for (const [name, state, calls, policy, expected] of ROWS) {
  test(name, () => {
    const step = next(state, atOnce(calls, state), policy, 0)
    assert.deepEqual(step.kind === 'call' ? step.call : step.decision, expected)
  })
}

test('lookups of a payment in doubt come at 5 s, 15 s, 1 m, 5 m, 15 m, 1 h, 6 h and then daily', () => {
  const delays = Array.from({ length: 10 }, (_, lookups) => {
    const step = next(task(3, 0, lookups), [asked(silent)], { ...POLICY, attemptsMax: 2 }, 0.9)
    return step.kind === 'decide' && step.decision.step === 'doubt' && step.decision.delayMs
  })
  const daily = 86_400_000
  const seconds = [5, 15, 60, 300, 900, 3_600, 21_600]
  assert.deepEqual(delays, [...seconds.map((s) => s * 1_000), daily, daily, daily])
  assert.deepEqual([...LOOKUP_DELAYS_MS], [...new Set(delays)])
})

test('the backoff doubles up to its maximum, and the jitter comes on top', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 100].map((attempts) => backoffMs(attempts, POLICY, 0))
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempts, chance) => {
        const extra = backoffMs(attempts, POLICY, chance) - backoffMs(attempts, POLICY, 0)
        assert.ok(extra >= 0 && extra <= POLICY.jitterMs, 'extra >= 0 && extra <= POLICY.jitterMs')
      },
    ),
    { seed: 1 },
  )
})

test('a payment that never was in doubt is not held for ever when the limit of attempts is lowered', () => {
  // Three attempts provably did nothing under a limit of 5; then the limit became 2.
  const state = task(4)
  const policy = { ...POLICY, attemptsMax: 2 }
  const first = next(state, [], policy, 0)
  assert.ok(first.kind === 'call' || first.decision.step === 'fail', 'unknown without any doubt')
})

const CHARGES = [paid, no, refused, busy, timeout, rejected, foreign, taken, shifted]
const ANSWERS = [paid, no, pending, absent, silent]
const REPEATS = ['first_answer', 'executes_once', 'may_execute_again'] as const
const POLICIES = [1, 2, 3].flatMap((attemptsMax) =>
  LOOKUPS.flatMap((lookup) =>
    REPEATS.flatMap((repeats) =>
      [0, GRACE_MS].map((giveUpMs) => ({ ...POLICY, attemptsMax, lookup, repeats, giveUpMs })),
    ),
  ),
)

/** A claim from its first call to its end. */
interface Claimed {
  readonly state: TaskState
  readonly policy: RetryPolicy
  readonly calls: readonly Call[]
  readonly end: Decision
}

/** Every claim there can be: every state, every policy, every outcome of every call. */
function* claims(): Generator<Claimed> {
  for (const policy of POLICIES) {
    for (const attempts of [1, 2, 3, 4, 5]) {
      for (const lookups of [0, 1, 2, 8, 9]) {
        for (const age of [null, 0, GRACE_MS - 1, GRACE_MS, 1e12]) {
          yield* paths(task(attempts, age, lookups), policy, [])
          if (age !== null && lookups === 0) {
            const state = task(attempts, age)
            yield* paths({ ...state, pendings: 1 }, policy, [])
            yield* paths({ ...state, odd: true }, policy, [])
            if (policy.lookup !== 'none') yield* paths({ ...state, lookupOnly: true }, policy, [])
          }
        }
      }
    }
  }
}

function* paths(state: TaskState, policy: RetryPolicy, calls: Call[]): ReturnType<typeof claims> {
  const step = next(state, calls, policy, 0.5)
  if (step.kind === 'decide') return yield { state, policy, calls, end: step.decision }
  const made =
    step.call === 'charge'
      ? CHARGES.map(charged)
      : ANSWERS.map((answer) => asked(answer, state.doubtAgeMs))
  for (const call of made) yield* paths(state, policy, [...calls, call])
}

test('every claim ends in a decision, after three calls and one charge at most', () => {
  let count = 0
  for (const { calls, end } of claims()) {
    count += 1
    assert.ok(calls.length <= 3, 'calls.length <= 3')
    assert.ok(
      calls.filter(({ kind }) => kind === 'charge').length <= 1,
      'calls.filter(({ kind }) => kind === charge).length <= 1',
    )
    assert.notEqual(end.step, 'release')
  }
  assert.ok(count > 5_000, `${count} claims`)
})

test('a payment that is only asked about is never charged', () => {
  for (const { state, calls } of claims()) {
    if (state.lookups === 0 && state.pendings === 0 && !state.lookupOnly) continue
    assert.ok(calls.every(({ kind }) => kind === 'lookup'))
  }
})

test('no claim past the limit charges what may have been executed', () => {
  for (const { state, policy, calls } of claims()) {
    if (state.tries < policy.attemptsMax || state.doubtAgeMs === null) continue
    assert.ok(calls.every(({ kind }) => kind === 'lookup'))
  }
})

test('a gateway that cannot look up is never asked to', () => {
  for (const { policy, calls } of claims()) {
    if (policy.lookup === 'none')
      assert.ok(
        calls.every(({ kind }) => kind === 'charge'),
        'calls.every(({ kind }) => kind === charge)',
      )
  }
})

test('a claim succeeds exactly when its last answer is a yes', () => {
  for (const { calls, end } of claims()) {
    assert.equal(end.step === 'succeed', calls.at(-1)?.outcome.kind === 'success')
  }
})

/** Whether a lookup of this claim proves that what was in doubt before never happened. */
function absence({ state, policy, calls }: Claimed): boolean {
  const aged = state.doubtAgeMs !== null && state.doubtAgeMs >= GRACE_MS
  const now = calls.some(({ kind, outcome }) => {
    if (kind === 'lookup') return false
    return outcome.kind === 'in_doubt' || outcome.kind === 'pending' || 'unproven' in outcome
  })
  const said = calls.some(({ outcome }) => outcome.kind === 'not_found')
  return said && aged && !now && policy.lookup === 'consistent'
}

test('after a doubt a payment fails only by a word about that charge', () => {
  for (const claim of claims()) {
    const { state, policy, calls, end } = claim
    const now = calls.some(({ outcome }) => ['in_doubt', 'pending'].includes(outcome.kind))
    if (end.step !== 'fail' || (state.doubtAgeMs === null && !now)) continue
    const last = calls.at(-1)
    const key = policy.repeats === 'first_answer' && (state.firstSentAgeMs ?? 1e12) < LIFE_MS
    const word = last?.outcome.kind === 'declined' && (last.kind === 'lookup' || key)
    assert.ok(word || absence(claim), JSON.stringify({ state, policy, calls }))
  }
})

test('a charge in doubt is sent again only under a key that lives, or when it never happened', () => {
  for (const claim of claims()) {
    const { state, policy, calls } = claim
    if (state.doubtAgeMs === null || calls.every(({ kind }) => kind === 'lookup')) continue
    const ended = (state.firstSentAgeMs ?? 1e12) + policy.timeoutMs
    const lives = policy.repeats !== 'may_execute_again' && ended < 0.9 * policy.keyLifeMs
    const first = { ...claim, calls: calls.slice(0, 1) }
    assert.ok(lives || absence(first), JSON.stringify({ state, policy, calls }))
  }
})

test('a gateway that would not talk to us uses up nothing and ends nothing', () => {
  for (const { state, calls, end } of claims()) {
    if (calls.at(-1)?.outcome.kind !== 'misconfigured' || state.odd) continue
    assert.equal(end.step, 'wait')
  }
})

test('nothing is refused for longer than its life: what is free ends with it, or with its key', () => {
  for (const { state, policy, calls, end } of claims()) {
    if (end.step !== 'retry' || end.free !== true) continue
    const doubted =
      end.doubt || (state.doubtAgeMs !== null && !absence({ state, policy, calls, end }))
    const ageMs = doubted ? state.firstSentAgeMs : state.triedAgeMs
    assert.ok((ageMs ?? 1e12) < policy.giveUpMs, JSON.stringify({ state, policy, calls }))
    assert.notEqual(calls.at(-1)?.outcome.kind, 'in_doubt')
    if (doubted) assert.notEqual(policy.repeats, 'may_execute_again')
  }
})

test('a refusal that may be another’s ends nothing while the payment is young and its key lives', () => {
  for (const { state, policy, calls, end } of claims()) {
    const last = calls.at(-1)
    if (last?.kind !== 'charge' || !('unproven' in last.outcome)) continue
    const ageMs = (state.firstSentAgeMs ?? 0) + policy.timeoutMs + policy.backoffMaxMs
    const lives = policy.repeats !== 'may_execute_again' && ageMs < 0.9 * policy.keyLifeMs
    if ((state.firstSentAgeMs ?? 0) >= policy.giveUpMs || !lives) continue
    assert.deepEqual(
      [end.step, 'free' in end && end.free, 'doubt' in end && end.doubt],
      ['retry', true, true],
    )
  }
})

test('nothing is planned that the gateway cannot do', () => {
  for (const { state, policy, end } of claims()) {
    if (policy.lookup !== 'none') continue
    if (end.step === 'doubt') assert.equal(end.delayMs, null)
    assert.notEqual(end.step, 'pending')
    if (end.step !== 'retry' || !(end.doubt || state.doubtAgeMs !== null)) continue
    assert.notEqual(policy.repeats, 'may_execute_again')
  }
})

test('a decision remembers a doubt of its own claim', () => {
  for (const { calls, end } of claims()) {
    if (end.step !== 'retry' && end.step !== 'doubt' && end.step !== 'wait') continue
    const plain = calls.some(({ outcome }) => outcome.kind === 'in_doubt' || 'unproven' in outcome)
    if (plain) assert.equal(end.doubt, true)
  }
})
