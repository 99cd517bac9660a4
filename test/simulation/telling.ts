import { STATEMENTS } from './all-statements.ts'
import { deliveryAuditor } from './delivery-checks.ts'
import type { Faults } from './faults.ts'
import type { Plan } from './plan.ts'
import { openReceivers } from './receivers.ts'
import type { Scheduler } from './scheduler.ts'
import type { Tables } from './tables.ts'
import type { Plants } from './world-types.ts'

/** What events are told with in a history, and the statements as they are judged there. */
export function openTelling(
  {
    plan,
    tables,
    steps,
    faults,
    plants,
  }: {
    readonly plan: Plan
    readonly tables: Tables
    readonly steps: Scheduler
    readonly faults: Faults
    readonly plants: Pick<Plants, 'handlers'>
  },
  count: (what: string) => void,
) {
  const receivers = openReceivers(steps, faults, count)
  const deliveries = deliveryAuditor(tables, receivers)
  const handlers = (plants.handlers ?? ((same) => same))(STATEMENTS)
  return {
    receivers,
    deliveries,
    promised: new Map<bigint, number>(),
    handlers: plan.endpoints > 0 ? deliveries.judging(handlers) : handlers,
  }
}
