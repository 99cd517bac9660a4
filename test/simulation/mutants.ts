import { settle } from '../../src/charging/settle.ts'
import { CommitUnknown, type Tx } from '../../src/ports.ts'
import { withShards } from '../../src/each-shard.ts'
import { BACK_MUTANTS } from './back-mutants.ts'
import { DELIVERY_MUTANTS } from './delivery-mutants.ts'
import { GATEWAY_MUTANTS } from './gateway-mutants.ts'
import { LOCK_MUTANTS } from './lock-mutants.ts'
import { OPERATOR_MUTANTS } from './operator-mutants.ts'
import { ids, texts } from './handlers.ts'
import { TEXT_MUTANTS } from './text-mutants.ts'
import { WATCH_MUTANTS } from './watch-mutants.ts'
import { WORD_MUTANTS } from './word-mutants.ts'
import type { Plants } from './world-types.ts'
import {
  both,
  misdecide,
  misread,
  mutant,
  NOTHING,
  owned,
  statement,
  value,
  type Mutant,
} from './planting.ts'

let attempt = 0
/** Any gateway will do, but keys must be honoured for this to matter. */
const KEY_PER_ATTEMPT: Plants = {
  gateway: (real) => ({
    ...real,
    execute: (request) => real.execute({ ...request, key: `${request.key}-${(attempt += 1)}` }),
  }),
}

/** Release claims without asking whether they are still ours. */
const RELEASE_UNCONDITIONAL: Plants = {
  async settle(world, settlements) {
    const given = settlements.filter(({ decision }) => decision.step === 'release')
    for (const { claim } of given) {
      const release = { name: 'tasks_release', clock: true, text: '' } as const
      await world.db.of(claim.payment.id).run(release, [`{${claim.task.paymentId}}`])
    }
    return settle(
      world,
      settlements.filter((one) => !given.includes(one)),
    )
  },
}

const COMMIT_UNKNOWN_IS_A_NO: Plants = {
  accept:
    (accept) =>
    async (...asked) => {
      try {
        return await accept(...asked)
      } catch (error) {
        if (!(error instanceof CommitUnknown)) throw error
        const refusal = { code: 'insufficient_funds' } as const
        return asked[0].map(() => ({ kind: 'refused', refusal, replayed: false }) as const)
      }
    },
}

/** Leases by the worker's own clock, which may be wrong by an hour. */
const LOCAL_CLOCK: Plants = { now: (clock) => clock.now() }

const HOLD_RELEASED_IN_DOUBT = statement('payments_finish', (real) => ({
  run(tables, values, context) {
    ids(values[2]).forEach((id, index) => {
      const payment = tables.payments.get(id)
      const doubt = texts(values[3])[index] === 'unknown' && payment?.type === 'withdraw'
      const user = tables.users.get(payment?.userId ?? -1n)
      if (!doubt || payment === undefined || user === undefined) return
      const cost = payment.amount + payment.commission
      const available = user.available + cost
      tables.users.set(user.id, { ...user, available, held: user.held - cost })
      const entry = { kind: 'release', user: cost, held: -cost, gateway: 0n, fees: 0n } as const
      const { shard, userId } = payment
      const moved = { ...entry, opening: 0n, losses: 0n }
      const posting = { ...moved, shard, userId, paymentId: id, createdAt: 0 }
      tables.postings.set(`${userId} ${id} release`, posting)
    })
    return real.run(tables, values, context)
  },
}))

const FINAL_STATE_LEFT = statement('payments_finish', (real) => ({
  run(tables, values, context) {
    for (const id of ids(values[2])) {
      const payment = tables.payments.get(id)
      if (payment !== undefined) tables.payments.set(id, { ...payment, status: 'new' })
    }
    return real.run(tables, values, context)
  },
}))

const LOST_CLAIM_UNCOUNTED = statement('tasks_claim', (real) => ({
  run(tables, values, context) {
    const before = new Map(tables.tasks.rows)
    const rows = real.run(tables, values, context) as { paymentId: bigint }[]
    return rows.map((row) => {
      const task = tables.tasks.get(row.paymentId)
      const was = before.get(row.paymentId)
      if (task === undefined || was === undefined) return row
      const { attempts, tries } = was
      tables.tasks.set(row.paymentId, { ...task, attempts, tries })
      return { ...row, attempts, tries }
    })
  },
}))

/** Each claim thinks that it is the first to use its key. */
const KEY_AGE_RESTARTS = statement('tasks_claim', (real) => ({
  run: (tables, values, context) =>
    real.run(tables, values, context).map((row) => ({ ...(row as object), firstSentAgeMs: 0 })),
}))

/** The yes of a lost claim is kept, and nobody acts on it. */
const LATE_YES_IGNORED: Plants = {
  settle(world, settlements) {
    const blind = (tx: Tx): Tx => ({
      ...tx,
      write: (asked, values) => tx.write(asked, values),
      run: (asked, values) =>
        asked.name === 'payments_read' ? Promise.resolve([]) : tx.run(asked, values),
    })
    const db = withShards(world.db, (shard) => ({
      ...shard,
      transaction: (work) => shard.transaction((tx) => work(blind(tx))),
    }))
    return settle({ ...world, db }, settlements)
  },
}

/** A life that many retries outlive. */
const FORGETFUL = { repeats: 'first_answer', keyLifeMs: 30_000, lookup: 'eventual' } as const

/** Histories in which they do. */
const OUTLIVED: Plants = {
  profile: FORGETFUL,
  trouble: { reply_lost: 0.8, lookup_stale: 0.8, lookup_failed: 0 },
  plan: { attemptsMax: 5, steps: 500 },
}

const CLAIM_IGNORES_LEASE = statement('tasks_claim', (real) => ({
  run(tables, values, context) {
    for (const task of tables.tasks.rows.values()) {
      if (task.leased) tables.tasks.set(task.paymentId, { ...task, runAt: context.nowMs })
    }
    return real.run(tables, values, context)
  },
}))

const CLAIM_WITHOUT_FENCE = statement('tasks_claim', (real) => ({
  run(tables, values, context) {
    const rows = real.run(tables, values, context) as { paymentId: bigint; fence: number }[]
    return rows.map((row) => {
      const task = tables.tasks.get(row.paymentId)
      if (task !== undefined) tables.tasks.set(row.paymentId, { ...task, fence: 1 })
      return { ...row, fence: 1 }
    })
  },
}))

const LOST_CLAIM_NOT_IN_DOUBT = statement('tasks_claim', (real) => ({
  run(tables, values, context) {
    const before = new Map(tables.tasks.rows)
    const rows = real.run(tables, values, context) as { paymentId: bigint; doubtAgeMs: unknown }[]
    return rows.map((row) => {
      const task = tables.tasks.get(row.paymentId)
      const doubtAt = before.get(row.paymentId)?.doubtAt ?? null
      if (task !== undefined) tables.tasks.set(row.paymentId, { ...task, doubtAt })
      return { ...row, doubtAgeMs: doubtAt === null ? null : context.nowMs - doubtAt }
    })
  },
}))

const REFUSALS_NOT_STORED = statement('payments_insert', (real) => ({
  run(tables, values, context) {
    const kept = texts(values[9]).flatMap((refused, index) => (refused === null ? [index] : []))
    const only = (given: unknown) => kept.map((index) => texts(given)[index])
    const shorter = values.map((given, index) => (index > 2 ? only(given) : given))
    return real.run(tables, shorter, context)
  },
}))

const REFUSAL_REPLAYED_AS_YES = statement('payments_by_keys', (real) => ({
  run: (tables, values, context) =>
    real.run(tables, values, context).map((row) => ({ ...(row as object), refusedFor: null })),
}))

const MOVED_TWICE = statement('users_move', (real) => ({
  run(tables, values, context) {
    real.run(tables, values, context)
    return real.run(tables, values, context)
  },
}))

/** Payments end, and the counts stay what they were. */
const FINISH_UNCOUNTED = statement('payments_finish', (real) => ({
  ...real,
  run(tables, values, context) {
    const before = new Map(tables.counts.rows)
    const rows = real.run(tables, values, context)
    for (const [shard, row] of before) tables.counts.set(shard, row)
    return rows
  },
}))

/** The bugs, one line each. */
export const MUTANTS: readonly Mutant[] = [
  mutant('finish_uncounted', 'what ends is not counted', FINISH_UNCOUNTED),
  mutant(
    'owned_without_fence',
    'any claim settles',
    owned({ fence: false, leased: true, there: true }),
  ),
  mutant(
    'owned_without_leased',
    'a claim settles twice',
    owned({ fence: true, leased: false, there: true }),
  ),
  mutant(
    'owned_without_task',
    'finished tasks settle',
    owned({ fence: true, leased: true, there: false }),
  ),
  mutant(
    'two_layers_gone',
    'late evidence settles, and final states are left',
    both(owned({ fence: false, leased: false, there: false }), FINAL_STATE_LEFT),
  ),
  mutant('lost_claim_uncounted', 'lost claims are not counted', LOST_CLAIM_UNCOUNTED),
  mutant('late_yes_ignored', 'a yes that comes late is only kept', LATE_YES_IGNORED),
  mutant('key_age_restarts', 'each claim begins a new life of its key', {
    ...KEY_AGE_RESTARTS,
    ...OUTLIVED,
  }),
  mutant('key_lives_for_ever', 'a key is used longer than the gateway knows it', {
    ...OUTLIVED,
    policy: (policy) => ({ ...policy, keyLifeMs: 1e12 }),
  }),
  mutant(
    'refusal_is_a_no',
    'a refused request ends the payment, whatever was sent before',
    misread(({ outcome }) =>
      outcome.kind === 'rejected' || outcome.kind === 'misconfigured'
        ? { kind: 'declined', reason: outcome.reason }
        : outcome,
    ),
  ),
  mutant('no_to_a_repeated_key', 'any no to a repeated key is believed', {
    profile: { repeats: 'executes_once', keyLifeMs: 3_600_000, lookup: 'none' },
    policy: (policy) => ({ ...policy, repeats: 'first_answer' }),
  }),
  mutant('claim_ignores_lease', 'leased tasks are claimed at once', CLAIM_IGNORES_LEASE),
  mutant('claim_without_fence', 'every claim has the same number', CLAIM_WITHOUT_FENCE),
  mutant('lost_claim_not_in_doubt', 'a dead worker charged nothing', LOST_CLAIM_NOT_IN_DOUBT),
  mutant('release_unconditional', 'a lost claim is given back', RELEASE_UNCONDITIONAL),
  mutant('moved_twice', 'balances move twice', MOVED_TWICE),
  mutant(
    'posted_without_moving',
    'balances do not move',
    statement('users_move', () => NOTHING),
  ),
  mutant(
    'moved_without_posting',
    'nothing is posted',
    statement('postings_insert', () => NOTHING),
  ),
  mutant(
    'finish_dropped',
    'the task goes, the payment stays',
    statement('payments_finish', () => NOTHING),
  ),
  mutant(
    'delete_dropped',
    'the payment ends, the task stays',
    statement('tasks_delete', () => NOTHING),
  ),
  mutant(
    'enqueue_dropped',
    'no task is put in the queue',
    statement('tasks_insert', () => NOTHING),
  ),
  mutant(
    'letters_dropped',
    'no letter is opened',
    statement('dead_letters_insert', () => NOTHING),
  ),
  mutant(
    'letters_not_closed',
    'no letter is closed',
    statement('dead_letters_close', () => NOTHING),
  ),
  mutant(
    'evidence_dropped',
    'no evidence is kept',
    statement('attempts_insert', () => NOTHING),
  ),
  mutant(
    'key_lookup_misses',
    'no key is ever found',
    statement('payments_by_keys', () => NOTHING),
  ),
  mutant(
    'lock_does_not_lock',
    'users are read, not locked',
    statement('users_lock', (real) => ({
      run: (tables, values, context) => real.run(tables, values, { ...context, mine: () => true }),
    })),
  ),
  mutant('refusals_not_stored', 'a no is not remembered', REFUSALS_NOT_STORED),
  mutant('refusal_replayed_as_yes', 'a stored no is answered as a yes', REFUSAL_REPLAYED_AS_YES),
  mutant('commit_unknown_is_a_no', 'a lost COMMIT is answered with 402', COMMIT_UNKNOWN_IS_A_NO),
  mutant(
    'lookups_uncounted',
    'lookups are not counted',
    value('tasks_reschedule', 4, (given) => texts(given).map(() => '0')),
  ),
  mutant(
    'doubt_at_unset',
    'a charge in doubt leaves no trace',
    value('tasks_reschedule', 8, (given) => texts(given).map(() => 'false')),
  ),
  mutant('hold_released_in_doubt', 'unknown gives the money back', HOLD_RELEASED_IN_DOUBT),
  mutant(
    'doubt_is_failure',
    'attempts run out: failed',
    misdecide((decision) =>
      decision.step === 'doubt' ? { step: 'fail', reason: decision.reason } : decision,
    ),
  ),
  mutant('key_per_attempt', 'a new gateway key for each attempt', KEY_PER_ATTEMPT),
  mutant(
    'timeout_is_failure',
    'a timeout is a decline',
    misread(({ outcome }) =>
      outcome.kind === 'in_doubt' ? { kind: 'declined', reason: outcome.reason } : outcome,
    ),
  ),
  mutant(
    'timeout_is_not_executed',
    'a timeout charged nothing',
    misread(({ outcome }) =>
      outcome.kind === 'in_doubt'
        ? { ...outcome, kind: 'not_executed', retryAfterMs: null }
        : outcome,
    ),
  ),
  mutant(
    'any_2xx_is_success',
    'the body of a 2xx is not read',
    misread(({ outcome, httpStatus }) =>
      httpStatus === 202 ? { kind: 'success', gatewayRef: null } : outcome,
    ),
  ),
  mutant('not_found_is_proof', 'an eventual "not found" is proof at once', {
    profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'eventual' },
    policy: (policy) => ({ ...policy, lookup: 'consistent', notFoundGraceMs: 0 }),
  }),
  mutant('no_grace', 'a consistent "not found" is proof at once', {
    policy: (policy) => ({ ...policy, notFoundGraceMs: 0 }),
  }),
  mutant('resent_without_keys', 'a charge in doubt is sent again to a gateway without keys', {
    profile: { repeats: 'may_execute_again', keyLifeMs: 3_600_000, lookup: 'none' },
    policy: (policy) => ({ ...policy, repeats: 'first_answer' }),
  }),
  mutant('local_clock', 'leases by the local clock', LOCAL_CLOCK),
  mutant('commission_wrong', 'the rate is one basis point off', {
    fee: (fee) => ({ ...fee, bps: fee.bps + 1 }),
  }),
  ...LOCK_MUTANTS,
  ...WORD_MUTANTS,
  ...WATCH_MUTANTS,
  ...OPERATOR_MUTANTS,
  ...BACK_MUTANTS,
  ...TEXT_MUTANTS,
  ...GATEWAY_MUTANTS,
  ...DELIVERY_MUTANTS,
]
