import { both, mutant, statement, type Mutant } from './planting.ts'
import type { Plants } from './world-types.ts'

/** Histories with a second gateway, to which withdrawals go. */
const TWO: Plants = { plan: { elsewhere: 'withdraw' } }

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
