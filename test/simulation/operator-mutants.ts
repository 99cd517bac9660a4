import { NO_EVIDENCE } from '../../src/domain/evidence.ts'
import type { Mutant } from './planting.ts'
import type { Handler, Handlers } from './handlers.ts'
import type { TaskRow } from './tables.ts'
import type { Plants } from './world-types.ts'

/** Change some statements. */
function changed(names: readonly string[], change: (real: Handler) => Handler): Plants {
  return {
    handlers: (handlers: Handlers) => {
      const all = { ...handlers }
      for (const name of names) {
        const real = handlers[name]
        if (real === undefined) throw new Error(`no statement ${name}`)
        all[name] = change(real)
      }
      return all
    },
  }
}

/** A redrive that gets a task wrong: what it makes of it, and of what it was. */
function startedOver(wrong: (now: TaskRow, was: TaskRow | undefined) => TaskRow): Plants {
  return changed(['tasks_redrive'], (real) => ({
    run(tables, values, context) {
      const before = new Map(tables.tasks.rows)
      const rows = real.run(tables, values, context)
      for (const [id, task] of tables.tasks.rows) {
        if (task !== before.get(id)) tables.tasks.set(id, wrong(task, before.get(id)))
      }
      return rows
    },
  }))
}

const LOCKS = ['tasks_lock', 'users_lock', 'dead_letters_lock'] as const

/** Bugs in what operators do. */
export const OPERATOR_MUTANTS: readonly Mutant[] = [
  {
    name: 'redrive_without_lookup',
    about: 'a redriven payment is charged before anybody asks',
    plants: startedOver((now) => ({ ...now, doubtAt: null })),
  },
  {
    name: 'redrive_keeps_fence',
    about: 'a claim that was running settles a redriven payment',
    plants: startedOver((now, was) => ({ ...now, fence: was?.fence ?? now.fence })),
  },
  {
    name: 'redrive_forgets_attempts',
    about: 'a redrive begins to count anew',
    plants: startedOver((now) => ({ ...now, attempts: 0 })),
  },
  {
    name: 'redrive_renews_key',
    about: 'a redriven key is as young as its redrive',
    plants: startedOver((now) => ({ ...now, firstSentAt: now.runAt })),
  },
  {
    name: 'redrive_not_queued',
    about: 'a redriven payment has no task',
    plants: changed(['tasks_redrive'], () => ({ run: () => [] })),
  },
  {
    name: 'repeat_not_queued',
    about: 'a repeat has no task',
    plants: changed(['tasks_insert_later'], () => ({ run: () => [] })),
  },
  {
    name: 'acted_letter_stays_open',
    about: 'a letter that was acted on can be acted on again',
    plants: changed(['dead_letters_end'], () => ({ run: () => [] })),
  },
  {
    name: 'evidence_unread',
    about: 'operators act without looking at the evidence',
    plants: changed(['attempts_known'], (real) => ({
      run: (tables, values, context) =>
        real.run(tables, values, context).map((row) => ({ ...(row as object), ...NO_EVIDENCE })),
    })),
  },
  {
    name: 'insisting_unrecorded',
    about: 'a word against the evidence leaves no trace of that',
    plants: changed(['operator_acts_insert'], (real) => ({
      run: (tables, values, context) => {
        const afters = (values[11] as string[]).map((after) =>
          after.replace('against_evidence', 'against'),
        )
        return real.run(tables, values.with(11, afters), context)
      },
    })),
  },
  {
    name: 'acts_without_locks',
    about: 'operators and workers decide side by side',
    plants: changed(LOCKS, (real) => ({
      run: (tables, values, context) => real.run(tables, values, { ...context, mine: () => true }),
    })),
  },
]
