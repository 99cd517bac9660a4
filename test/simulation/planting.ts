import { settle, type Settled, type SettleWorld } from '../../src/charging/settle.ts'
import type { Settlement } from '../../src/charging/charge.ts'
import type { GatewayOperation } from '../../src/domain/gateway-profile.ts'
import { type Evidence, type Gateway } from '../../src/ports.ts'
import type { ChargeOutcome } from '../../src/domain/outcome.ts'
import type { Decision } from '../../src/domain/charge-decision.ts'
import { ids, ints, taskLock, texts, type Handler, type Handlers } from './handlers.ts'
import { type Owned } from './task-statements.ts'
import { inShard, type Tables } from './tables.ts'
import type { Plants } from './world-types.ts'

/** A bug that the simulator has to find. */
export interface Mutant {
  readonly name: string
  /** What is wrong, in the words of the code. */
  readonly about: string
  readonly plants: Plants
}

/** Change one statement. */
export function statement(name: string, change: (real: Handler) => Handler): Plants {
  return {
    handlers: (handlers: Handlers) => {
      const real = handlers[name]
      if (real === undefined) throw new Error(`no statement ${name}`)
      return { ...handlers, [name]: change(real) }
    },
  }
}

export function both(one: Plants, other: Plants): Plants {
  const merged = { ...one, ...other }
  const { handlers: first } = one
  const { handlers: second } = other
  if (first === undefined || second === undefined) return merged
  return { ...merged, handlers: (handlers) => second(first(handlers)) }
}

export const NOTHING: Handler = { run: () => [] }

/** Change one value of a statement. */
export function value(name: string, index: number, change: (given: unknown) => unknown): Plants {
  return statement(name, (real) => ({
    ...real,
    run: (tables, values, context) =>
      real.run(tables, values.with(index, change(values[index])), context),
  }))
}

/** What a settlement may touch, judged less strictly than it should be. */
export function owned(judge: {
  readonly fence: boolean
  readonly leased: boolean
  readonly there: boolean
}): Plants {
  const allowed = (tables: Tables, [shard, paymentIds, fences, yes]: readonly unknown[]): Owned[] =>
    ids(paymentIds)
      .flatMap((paymentId, index) => {
        const task = inShard(tables.tasks, paymentId, shard)
        const fence = ints(fences)[index] as number
        const attempts = task?.attempts ?? 0
        if (task === undefined) {
          return judge.there ? [] : [{ paymentId, fence, owned: true, attempts }]
        }
        const ours = (!judge.fence || task.fence === fence) && (!judge.leased || task.leased)
        if (!ours && texts(yes)[index] !== 'true') return []
        return [{ paymentId, fence, owned: ours, attempts }]
      })
      .toSorted((one, other) => (one.paymentId < other.paymentId ? -1 : 1))
  return statement('tasks_owned', () => ({
    locks: (tables, values) => allowed(tables, values).map(({ paymentId }) => taskLock(paymentId)),
    run: allowed,
  }))
}

/** Misread what a charge came to. */
export function misread(change: (evidence: Evidence<ChargeOutcome>) => ChargeOutcome): Plants {
  const gateway = (real: Gateway): Gateway => ({
    ...real,
    async execute(request: GatewayOperation) {
      const evidence = await real.execute(request)
      return { ...evidence, outcome: change(evidence) }
    },
  })
  return { gateway }
}

/** Misread what is to be done. */
export function misdecide(change: (decision: Decision) => Decision): Plants {
  const wrong = async (
    world: SettleWorld,
    settlements: readonly Settlement[],
  ): Promise<Settled> => {
    const wrongs = settlements.map((one) => ({ ...one, decision: change(one.decision) }))
    const settled = await settle(world, wrongs)
    const busy = settlements.filter((_, index) =>
      settled.busy.includes(wrongs[index] as Settlement),
    )
    return { ...settled, busy }
  }
  return { settle: wrong }
}

export function mutant(name: string, about: string, plants: Plants): Mutant {
  return { name, about, plants }
}
