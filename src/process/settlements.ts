import { systemClock } from '../adapters/clock.ts'
import { unsettledIn } from '../adapters/unsettled.ts'
import type { ChargeWorld, Settlement } from '../charging/charge.ts'
import { settleApart } from '../charging/settle-apart.ts'
import type { Settled } from '../charging/settle.ts'
import { operationOf } from '../domain/payment.ts'
import { Busy, CommitUnknown, Unavailable } from '../ports.ts'
import { openSettler, type Settler } from '../queue/settler.ts'
import type { Process } from './shared.ts'
import { tracePlaces } from './tracing.ts'

/** The settler of a process, which knows what it had to leave to the log alone. */
interface Settlements extends Settler<Settlement> {
  /** Whether a result was given up that no file would take, and that another time would write. */
  isLost(done: Settlement): boolean
}

/**
 * Keep what claims came to until it is written. What is given up at the end of the process goes to
 * the folder of `UNSETTLED_DIR`, and in any case has its last word in the log.
 */
export function openSettlements(
  shared: Process,
  world: ChargeWorld,
  onSettled: (settled: Settled) => void,
): Settlements {
  const { config, log, tracer } = shared
  const lost = new WeakSet<Settlement>()
  const settle = settleApart(world, ({ number }, err) =>
    log.error({ err, shard: number }, 'a shard takes no settlements'),
  )
  const settler = openSettler<Settlement>({
    async settle(done, patient) {
      const beganMs = systemClock.elapsedMs()
      const settled = await settle(done, patient)
      if (tracer !== null) {
        const places = tracePlaces(done.map(({ claim }) => claim))
        tracer.batch('settle', places, systemClock.elapsedMs() - beganMs)
      }
      onSettled(settled)
      // What other shards would not take waits by itself: it is nothing that these have to wait
      // for.
      return settled.left
    },
    clock: systemClock,
    batchMax: config.workerBatch,
    keyOf: ({ claim: { payment } }) => payment.userId,
    partOf: ({ claim: { payment } }) => `${payment.gateway} ${operationOf(payment.type)}`,
    faultyMsMax: config.leaseMs,
    onError(error) {
      if (error instanceof Busy) log.warn({ err: error }, 'a settlement waits for a lock')
      else log.error({ err: error }, 'the worker could not settle')
    },
    onGivenUp(done, error) {
      const passes = [Unavailable, CommitUnknown, Busy].some((kind) => error instanceof kind)
      // A result at fault would fail again.
      const file = passes ? keptIn(shared, done) : null
      for (const one of done) {
        if (passes && file === null) lost.add(one)
        log.error({ err: error, file, ...wordOf(one) }, 'not settled')
      }
    },
  })
  return { ...settler, isLost: (done) => lost.has(done) }
}

/**
 * What the log says of a settlement that this process will not write: enough to find the payment.
 */
function wordOf({ claim: { payment, task }, calls, decision }: Settlement) {
  const last = calls.at(-1)
  const outcome = last === undefined ? null : `${last.kind} ${last.outcome.kind}`
  return { payment: Number(payment.id), fence: task.fence, outcome, decision: decision.step }
}

/** The file that keeps results for the next start; null: none. */
function keptIn({ config, log }: Process, done: readonly Settlement[]): string | null {
  if (config.unsettledDir === null) return null
  try {
    return unsettledIn(config.unsettledDir).keep(shifted(done, epochMs()))
  } catch (err) {
    log.error({ err }, 'UNSETTLED_DIR cannot be written')
    return null
  }
}

/**
 * Write what earlier processes had to leave in `UNSETTLED_DIR`. A claim that is still theirs is
 * settled, any other becomes late evidence; so it does no harm when several processes do it at
 * once.
 */
export function settleLeftovers({ config, log }: Process, settlements: Settlements): void {
  if (config.unsettledDir === null) return
  const folder = unsettledIn(config.unsettledDir)
  for (const path of folder.files()) {
    try {
      const left = shifted(folder.read(path) as Settlement[], -epochMs())
      void settleFile(settlements, left, () => folder.remove(path)).catch((err: unknown) => {
        log.error({ err, file: path }, 'a file of UNSETTLED_DIR cannot be removed')
      })
      log.info({ file: path, count: left.length }, 'settling what an earlier process left')
    } catch (err) {
      log.error({ err, file: path }, 'a file of UNSETTLED_DIR cannot be read')
    }
  }
}

/** Settle what a file holds. It goes when all of it is written, or in another file. */
async function settleFile(
  { submit, isLost }: Settlements,
  left: readonly Settlement[],
  remove: () => void,
): Promise<void> {
  await Promise.all(left.map((settlement) => submit(settlement)))
  if (!left.some(isLost)) remove()
}

/** What this process's monotonic clock would have to be moved by to show the time of day. */
function epochMs(): number {
  return systemClock.now().getTime() - systemClock.elapsedMs()
}

/**
 * Settlements with the beginnings of their calls on another clock: a monotonic clock is of its
 * process alone, so what another process is to read is dated by the time of day.
 */
function shifted(settlements: readonly Settlement[], byMs: number): Settlement[] {
  return settlements.map((settlement) => ({
    ...settlement,
    calls: settlement.calls.map((call) => ({ ...call, startedMs: call.startedMs + byMs })),
  }))
}
