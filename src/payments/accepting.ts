import type { Answer, PaymentDraft, Gateways } from '../domain/acceptance.ts'
import type { Fees } from '../domain/fee.ts'
import type { Clock, Db } from '../ports.ts'
import { batcher, type Later } from '../queue/batcher.ts'
import { ofEachShard } from '../each-shard.ts'
import { acceptor, locksUser, type Accept } from './accept.ts'
import { sideLane } from './side-lane.ts'

/** Accepts payments, whoever they are for. */
export interface Accepts {
  accept(draft: PaymentDraft): Promise<Answer>
  /** Many at once, each with an answer or with what went wrong, in order. */
  acceptAll(drafts: readonly PaymentDraft[]): Promise<(Answer | Error)[]>
}

interface AcceptingWorld {
  readonly db: Db
  readonly fees: Fees
  readonly clock: Clock
  readonly limits: AcceptingLimits
  /** Where payments go; not there: to the one gateway there is. */
  readonly gateways?: Gateways
  /** Whether drafts may have a place in a trace. */
  readonly traced?: boolean
  /** Told after each commit how many tasks were put in the queue. */
  readonly onEnqueued: (count: number) => void
  /** Told after each commit which payments were written. */
  readonly onWritten: NonNullable<Parameters<typeof acceptor>[0]['onWritten']>
  /** Told of each batch that was answered, and how long it took. */
  readonly onBatch: (
    drafts: readonly PaymentDraft[],
    answers: readonly Answer[],
    tookMs: number,
  ) => void
}

/** Limits of accepting payments, for each shard. */
interface AcceptingLimits {
  /** Drafts of a batch. */
  readonly sizeMax: number
  /** Drafts that may wait; further ones are refused. */
  readonly waitingMax: number
  /** Batches that may be decided on side by side. */
  readonly sideBySide: number
  /** How long a draft waits for its user when somebody else has locked it, in milliseconds. */
  readonly lockMsMax: number
}

/** Accept payments in batches of a shard each. `idle` resolves when nothing waits or runs. */
export function accepting(world: AcceptingWorld): Accepts & { idle(): Promise<void> } {
  const { db, clock, limits } = world
  const shards = ofEachShard(db, (shard) => {
    const accept = acceptor({ ...world, currency: db.currency, shard })
    const timed: Accept = async (drafts, ...how) => {
      const beganMs = clock.elapsedMs()
      const answers = await accept(drafts, ...how)
      world.onBatch(drafts, answers, clock.elapsedMs() - beganMs)
      return answers
    }
    return acceptingInShard(timed, clock, limits)
  })
  const accept = (draft: PaymentDraft) => shards.of(draft.userId).submit(draft)
  return {
    accept,
    acceptAll: (drafts) =>
      Promise.all(drafts.map((draft) => accept(draft).catch((error: Error) => error))),
    async idle() {
      await Promise.all(shards.all.map((shard) => shard.idle()))
    },
  }
}

/**
 * How long a batch waits for locks: some times as long as a batch takes, within these limits, in
 * milliseconds. A batch of ours that is being written holds its locks for no longer; whoever does
 * may do so for an hour, and nobody but the user whose row it is should wait for that.
 */
const BATCH_LOCK = { factor: 4, msMin: 100, msMax: 1_000 }

/** Accepts the payments of one shard. */
interface AcceptingInShard {
  submit(draft: PaymentDraft): Promise<Answer>
  /** Resolves when nothing waits or runs. */
  idle(): Promise<void>
}

/**
 * Accept the payments of one shard in batches. Drafts of a user whose row somebody else has locked
 * leave their batch and wait by themselves, in their order; everybody else is answered in time.
 */
export function acceptingInShard(
  accept: Accept,
  clock: Clock,
  limits: AcceptingLimits,
): AcceptingInShard {
  const { sizeMax, waitingMax, lockMsMax } = limits
  const aside = sideLane({
    accept: (drafts, lockMs) => accept(drafts, undefined, { lockMs }),
    clock,
    waitMsMax: lockMsMax,
    waitingMax,
    sizeMax,
  })

  // How long a batch takes, over the last few.
  let usualMs = 0
  const patienceMs = () =>
    Math.min(BATCH_LOCK.msMax, Math.max(BATCH_LOCK.msMin, usualMs * BATCH_LOCK.factor))

  const run = async (
    drafts: PaymentDraft[],
    next: () => void,
  ): Promise<readonly Later<Answer>[]> => {
    // Who waits aside, by place; behind whom later drafts of the same users wait as well.
    const waiting = new Map<number, Promise<Answer>>()
    const wait = (isFor: (userId: bigint) => boolean) =>
      drafts.forEach((draft, place) => {
        if (!waiting.has(place) && isFor(draft.userId)) waiting.set(place, aside.add(draft))
      })
    if (!aside.isEmpty()) wait(aside.has)
    const places = drafts.map((_, place) => place).filter((place) => !waiting.has(place))
    if (places.length === 0) return [...waiting.values()]
    const others =
      waiting.size === 0 ? drafts : places.map((place) => drafts[place] as PaymentDraft)

    const beganMs = clock.elapsedMs()
    let odd = false
    // Before the next batch begins, so that its drafts of these users come behind.
    const onBusy = (userIds: ReadonlySet<bigint>) => {
      odd = true
      wait((userId) => userIds.has(userId))
    }
    const given = await accept(others, next, { lockMs: patienceMs(), onBusy }).catch(
      (error: Error) => error,
    )
    // What waited for somebody else, or failed, says nothing of ourselves.
    if (!odd && !(given instanceof Error)) usualMs += (clock.elapsedMs() - beganMs - usualMs) / 8
    if (waiting.size === 0) {
      if (given instanceof Error) throw given
      return given
    }
    // Who waits aside is answered from there, whatever became of the others.
    const answers: Later<Answer>[] = []
    places.forEach((place, index) => {
      if (waiting.has(place)) return
      answers[place] = given instanceof Error ? Promise.reject(given) : (given[index] as Answer)
    })
    for (const [place, answer] of waiting) answers[place] = answer
    return answers
  }

  const batches = batcher(run, { ...limits, keyOf: lockOf })
  return {
    submit: batches.submit,
    async idle() {
      await batches.idle()
      await aside.idle()
    },
  }
}

/** The user whose row a draft locks; null: it locks none, so any batch may have it. */
function lockOf(draft: PaymentDraft): bigint | null {
  return locksUser(draft) ? draft.userId : null
}
