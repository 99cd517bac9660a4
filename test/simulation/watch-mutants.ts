import { WATCH_AGAIN_MS } from '../../src/domain/watch.ts'
import type { ToldRefund } from '../../src/domain/outcome.ts'
import type { Gateway } from '../../src/ports.ts'
import { texts } from './handlers.ts'
import { both, mutant, NOTHING, statement, type Mutant } from './planting.ts'
import { FAILED_WATCHED, WATCHED } from './plenty.ts'
import type { Tables } from './tables.ts'
import type { Plants } from './world-types.ts'

/** Change what a look tells that came back. */
function telling(change: (told: Told, look: number) => Told): Plants {
  let looks = 0
  const gateway = (real: Gateway): Gateway => ({
    ...real,
    async lookup(operation, signal) {
      const made = await real.lookup(operation, signal)
      if (made.outcome.kind !== 'success' || operation.watched !== true) return made
      looks += 1
      const returns = change(made.outcome.returns ?? [], looks)
      return { ...made, outcome: { ...made.outcome, returns } }
    },
  })
  return { told: gateway }
}

/** Change which refunds a look tells by our names. */
function tellingRefunds(
  change: (refunds: readonly ToldRefund[]) => readonly ToldRefund[],
): NonNullable<Plants['told']> {
  return (real) => ({
    ...real,
    async lookup(operation, signal) {
      const made = await real.lookup(operation, signal)
      if (made.outcome.kind !== 'success') return made
      return { ...made, outcome: { ...made.outcome, refunds: change(made.outcome.refunds ?? []) } }
    },
  })
}

type Told = NonNullable<
  Extract<Awaited<ReturnType<Gateway['lookup']>>['outcome'], { kind: 'success' }>['returns']
>

/** A charge-back of which the gateway knows nothing. */
const NEVER = { ref: 'never', amount: 1n, kind: 'charged_back', at: null } as const

/** Forget the looks at what was asked about out of turn, as soon as somebody asks for them. */
function unwatchedOnceAsked(): Plants {
  const asked = new WeakMap<Tables, Set<bigint>>()
  return both(
    statement('tasks_claim_ahead', (real) => ({
      ...real,
      run(tables, values, context) {
        const rows = real.run(tables, values, context)
        const known = asked.get(tables) ?? new Set()
        for (const row of rows) known.add((row as { readonly paymentId: bigint }).paymentId)
        asked.set(tables, known)
        return rows
      },
    })),
    statement('watches_insert', (real) => ({
      run(tables, values, context) {
        const [paymentIds, ...others] = values.slice(2).map(texts)
        const kept = (paymentIds ?? []).flatMap((id, at) =>
          asked.get(tables)?.has(BigInt(id ?? 0)) === true ? [] : [at],
        )
        const columns = [paymentIds ?? [], ...others]
        const left = columns.map((column) => `{${kept.map((at) => column[at]).join()}}`)
        return real.run(tables, [...values.slice(0, 2), ...left], context)
      },
    })),
  )
}

function watching(name: string, about: string, plants: Plants): Mutant {
  return mutant(name, about, both(WATCHED, plants))
}

/** Bugs of how final payments are looked at. */
export const WATCH_MUTANTS: readonly Mutant[] = [
  watching(
    'watch_not_written',
    'a payment that ends well is not looked at again by itself',
    statement('watches_insert', () => NOTHING),
  ),
  mutant(
    'watch_not_after_question',
    'what was asked about out of turn is not looked at again',
    both(FAILED_WATCHED, unwatchedOnceAsked()),
  ),
  watching(
    'watch_notice_after_look_lost',
    'a payment that was just looked at is not looked at again for a notice',
    statement('watches_notice', (real) => ({
      run(tables, values, context) {
        const looked = tables.watches.get(BigInt(values[2] as bigint))?.looked === true
        return looked ? [] : real.run(tables, values, context)
      },
    })),
  ),
  watching('watch_silence_ends', 'a gateway that does not answer is not asked again', {
    watch:
      (real) =>
      async (...asked) => {
        const end = await real(...asked)
        return end.delayMs === WATCH_AGAIN_MS ? { ...end, delayMs: null } : end
      },
  }),
  watching(
    'watch_books_each_look',
    'what came back is booked under a name that each look makes',
    telling((told, look) => told.map((one) => ({ ...one, ref: `${one.ref} ${look}` }))),
  ),
  watching(
    'watch_first_return_only',
    'of several that came back only the first is booked',
    telling((told) => told.slice(0, 1)),
  ),
  mutant(
    'yes_after_failed_lost',
    'what a gateway says of a payment that failed here comes to nothing',
    both(
      FAILED_WATCHED,
      statement('watches_notice', (real) => ({
        run(tables, values, context) {
          const failed = tables.payments.get(BigInt(values[2] as bigint))?.status === 'failed'
          return failed ? [] : real.run(tables, values, context)
        },
      })),
    ),
  ),
  watching('watch_told_refund_unbooked', 'a refund that only says that it is ours is not booked', {
    told: tellingRefunds(() => []),
  }),
  watching('watch_failed_refund_stays', 'a refund that fails after it was booked stays booked', {
    told: tellingRefunds((refunds) => refunds.filter(({ made }) => made)),
  }),
  watching(
    'watch_books_what_never_was',
    'a look books a charge-back that never was at the gateway',
    telling((told) => (told.length > 0 ? told : [NEVER])),
  ),
  watching(
    'watch_undoes_what_never_was',
    'a refund that failed before anybody booked it is taken back',
    {
      told: tellingRefunds((refunds) =>
        refunds.map((one) => {
          const { ref, amount, kind, at } = one.back
          return { ...one, back: { ref, amount, kind, at } }
        }),
      ),
    },
  ),
  watching(
    'watches_of_all',
    'the looks of one gateway take the payments of another',
    both(
      { plan: { ...WATCHED.plan, elsewhere: 'withdraw' } },
      statement('watches_claim', (real) => ({
        run(tables, values, context) {
          for (const one of tables.watches.rows.values()) {
            if (!one.leased) tables.watches.set(one.paymentId, { ...one, gateway: 'http' })
          }
          return real.run(tables, values, context)
        },
      })),
    ),
  ),
]
