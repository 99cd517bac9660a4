import { settle } from '../../src/charging/settle.ts'
import type { Settlement } from '../../src/charging/charge.ts'
import type { LookupOutcome } from '../../src/domain/outcome.ts'
import { confirms } from '../../src/domain/reply-outcome.ts'
import type { Decision } from '../../src/domain/charge-decision.ts'
import type { Promises } from '../../src/domain/charge-decision.ts'
import type { GatewayOperation } from '../../src/domain/gateway-profile.ts'
import type { Evidence } from '../../src/ports.ts'
import type { Mutant } from './planting.ts'
import type { Handler, Handlers } from './handlers.ts'
import type { TaskRow } from './tables.ts'
import type { Plants } from './world-types.ts'

const CONSISTENT: Promises = {
  repeats: 'first_answer',
  keyLifeMs: 3_600_000,
  lookup: 'consistent',
}

/** Misread what a lookup came to. */
function misread(change: (evidence: Evidence<LookupOutcome>) => LookupOutcome): Plants {
  return {
    gateway: (real) => ({
      ...real,
      async lookup(request: GatewayOperation) {
        const evidence = await real.lookup(request)
        return { ...evidence, outcome: change(evidence) }
      },
    }),
  }
}

/** Decide otherwise. */
function misdecide(change: (decision: Decision) => Decision): Plants {
  return {
    async settle(world, settlements, patient) {
      const wrongs = settlements.map((one) => ({ ...one, decision: change(one.decision) }))
      const settled = await settle(world, wrongs, patient)
      const busy = settlements.filter((_, index) =>
        settled.busy.includes(wrongs[index] as Settlement),
      )
      return { ...settled, busy }
    },
  }
}

function changed(name: string, change: (real: Handler) => Handler): Plants {
  return {
    handlers(handlers: Handlers) {
      const real = handlers[name]
      if (real === undefined) throw new Error(`no statement ${name}`)
      return { ...handlers, [name]: change(real) }
    },
  }
}

/**
 * A question out of turn that gets its claim wrong: what it makes of the task, and of what it was.
 */
function askedWrongly(wrong: (now: TaskRow, was: TaskRow) => TaskRow): Plants {
  return changed('tasks_claim_ahead', (real) => ({
    ...real,
    run(tables, values, context) {
      const before = new Map(tables.tasks.rows)
      const rows = real.run(tables, values, context) as { paymentId: bigint; fence: number }[]
      return rows.map((row) => {
        const task = tables.tasks.get(row.paymentId)
        const was = before.get(row.paymentId)
        if (task === undefined || was === undefined) return row
        const now = wrong(task, was)
        tables.tasks.set(row.paymentId, now)
        return { ...row, fence: now.fence }
      })
    },
  }))
}

/** Bugs in what is made of a gateway's words, and in asking for them out of turn. */
export const WORD_MUTANTS: readonly Mutant[] = [
  {
    name: 'page_is_not_found',
    about: 'a page of whoever stands in between proves that nothing was charged',
    plants: {
      profile: CONSISTENT,
      trouble: { lookup_failed: 0.9, reply_lost: 0.9, error_after: 0.5 },
      plan: { steps: 500, attemptsMax: 1 },
      ...misread(({ outcome, httpStatus }) =>
        outcome.kind === 'no_answer' && httpStatus === 404 ? { kind: 'not_found' } : outcome,
      ),
    },
  },
  {
    name: 'unnamed_refusal_is_ours',
    about: 'a page that may be another’s says that our charge was not executed',
    plants: {
      gateway: (real) => ({
        ...real,
        async execute(request: GatewayOperation) {
          const made = await real.execute(request)
          const { unproven: _, ...outcome } = { unproven: true, ...made.outcome }
          return { ...made, outcome }
        },
      }),
    },
  },
  {
    name: 'any_reply_behind_proves',
    about: 'whatever is answered next says whose the page before it was',
    plants: { proves: (status) => status !== null },
  },
  {
    name: 'more_may_follow',
    about: 'a page that came twice is ours, although more may come',
    plants: { proves: (status, shape) => confirms(status, shape, true) },
  },
  {
    name: 'pending_is_declined',
    about: 'what the gateway has in hand was declined',
    plants: misread(({ outcome }) =>
      outcome.kind === 'pending' ? { kind: 'declined', reason: 'pending' } : outcome,
    ),
  },
  {
    name: 'pending_opens_letter',
    about: 'what the gateway has in hand is unknown',
    plants: misdecide((decision) =>
      decision.step === 'pending' ? { ...decision, step: 'doubt' } : decision,
    ),
  },
  {
    name: 'wrong_settings_fail',
    about: 'while our credential is wrong, payments fail',
    plants: misdecide((decision) =>
      decision.step === 'wait' ? { step: 'fail', reason: decision.reason } : decision,
    ),
  },
  {
    name: 'asked_under_same_claim',
    about: 'a question out of turn leaves a lost claim in force',
    plants: askedWrongly((now, was) => ({ ...now, fence: was.fence })),
  },
  {
    name: 'asked_without_lease',
    about: 'a question out of turn holds nobody else off',
    plants: askedWrongly((now, was) => ({ ...now, leased: false, runAt: was.runAt })),
  },
  {
    name: 'leave_forgets_task',
    about: 'a question without an answer takes the payment out of the queue',
    plants: misdecide((decision) =>
      decision.step === 'leave'
        ? { step: 'doubt', delayMs: null, reason: 'asked', doubt: false }
        : decision,
    ),
  },
]
