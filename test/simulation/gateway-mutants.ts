import { NOT_FINISHED } from '../../src/domain/doubt.ts'
import { both, misdecide, mutant, statement, type Mutant } from './planting.ts'
import type { Plants } from './world-types.ts'

/** Histories with a second gateway, to which withdrawals go. */
const TWO: Plants = { plan: { elsewhere: 'withdraw' } }

/** Histories in which clerks want ended what the gateway has in hand, which it often has. */
const ENDING: Plants = {
  trouble: { pending: 0.8 },
  plan: { clerks: 3, deeds: 12, endsPending: true },
}

/** Histories in which it is soon unknown what becomes of that. */
const LOST: Plants = { trouble: { pending: 0.8 }, plan: { lostPendingMs: 1_000 } }

/** Bugs of who carries out what. */
export const GATEWAY_MUTANTS: readonly Mutant[] = [
  mutant(
    'claims_of_all',
    'the claims of one gateway take the tasks of another',
    both(
      TWO,
      statement('tasks_claim', (real) => ({
        run(tables, values, context) {
          for (const task of tables.tasks.rows.values()) {
            if (!task.leased) tables.tasks.set(task.paymentId, { ...task, gateway: 'http' })
          }
          return real.run(tables, values, context)
        },
      })),
    ),
  ),
  mutant(
    'task_unrouted',
    'a task waits for the first gateway, wherever its payment goes',
    both(
      TWO,
      statement('tasks_insert', (real) => ({
        run: (tables, values, context) => real.run(tables, values.slice(0, 4), context),
      })),
    ),
  ),
  mutant('not_finished_is_failure', 'what the gateway does not finish has failed', {
    ...LOST,
    ...misdecide((decision) =>
      decision.step === 'doubt' && decision.reason === NOT_FINISHED
        ? { step: 'fail', reason: NOT_FINISHED }
        : decision,
    ),
  }),
  mutant('not_finished_is_left', 'nobody asks any more about what the gateway does not finish', {
    ...LOST,
    ...misdecide((decision) =>
      decision.step === 'doubt' && decision.reason === NOT_FINISHED
        ? { ...decision, delayMs: null }
        : decision,
    ),
  }),
  mutant(
    'pending_ended_here',
    'what the gateway has in hand ends without its word',
    both(
      ENDING,
      statement('tasks_lock_seen', (real) => ({
        ...real,
        run: (tables, values, context) =>
          (real.run(tables, values, context) as { sent: boolean; pending: boolean }[]).map(
            (row) => ({ ...row, sent: row.sent && !row.pending }),
          ),
      })),
    ),
  ),
  mutant('silence_when_asked', 'whoever wants a payment ended takes silence for a yes', {
    ...ENDING,
    trouble: { pending: 0.8, lookup_failed: 0.4 },
    gateway: (real) => ({
      ...real,
      async cancel(operation, signal) {
        const made = await real.cancel?.(operation, signal)
        if (made !== undefined && made.outcome.kind !== 'no_answer') return made
        const outcome = { kind: 'declined', reason: 'canceled' } as const
        return { sent: true, httpStatus: null, outcome }
      },
    }),
  }),
  mutant('silence_is_canceled', 'a gateway that does not answer is taken to have ended a payment', {
    plan: { endPendingMs: 2_000 },
    gateway: (real) => ({
      ...real,
      async cancel(operation, signal) {
        const made = await real.lookup(operation, signal)
        const { kind } = made.outcome
        if (kind !== 'pending' && kind !== 'no_answer') return made
        return { ...made, outcome: { kind: 'declined', reason: 'canceled' } }
      },
    }),
  }),
]
