import { plusClasses, quantileMs } from '../domain/series.ts'
import { eachInTurn, partly, partlyByServer } from '../each-shard.ts'
import type { ShownBreaker } from '../domain/breaker.ts'
import type { Route } from '../domain/payment.ts'
import { readSeries } from '../metrics/series-store.ts'
import { readHeld } from '../metrics/store.ts'
import type { Clock, Db } from '../ports.ts'
import { viewQueue } from '../queue/load-store.ts'
import { newestRuns, type VerifyRun } from '../verify/runs-store.ts'
import { listEndpoints } from '../webhooks/store.ts'
import { sharedAnswer } from './shared-answer.ts'
import { readFailing, readLetterSums, readPending, type Failing } from './store.ts'

/** What lately means: so many minutes, of which the last is not over. */
const LATELY_MINUTES = 5
const MINUTE_MS = 60_000

/** How long an overview is shown to others who ask, in milliseconds. */
const KEPT_MS = 1_000
/** The same of what is held: it is summed over all users. */
const HELD_KEPT_MS = 30_000

/** The circuit breaker of an operation of a gateway. */
type RouteState = Route & ShownBreaker

/** Money that is not where it will be, in one currency. */
interface AtRisk {
  readonly currency: string
  readonly unknown: Amount
  readonly pending: Amount
  readonly held: bigint
}

interface Amount {
  readonly count: number
  readonly amount: bigint
  readonly oldestAt: Date | null
}

/** What became of payments lately; of all, or of those of a gateway. */
interface Lately {
  readonly succeeded: number
  readonly failed: number
  readonly unknown: number
  readonly p50Ms: number | null
  readonly p95Ms: number | null
}

export interface Overview {
  readonly seconds: number
  readonly accepted: number
  readonly lately: Lately
  readonly queue: {
    readonly due: number
    readonly leased: number
    readonly waiting: number
    readonly oldestDueAt: Date | null
  }
  readonly atRisk: readonly AtRisk[]
  readonly letters: {
    readonly failed: Omit<Amount, 'amount'>
    readonly unknown: Omit<Amount, 'amount'>
  }
  readonly gateways: readonly (RouteState & { readonly lately: Lately })[]
  readonly webhooks: {
    readonly endpoints: number
    readonly disabled: number
    /** Endpoints at which something did not arrive. */
    readonly failing: number
    readonly deliveries: number
    readonly oldestAt: Date | null
    /** Which these are, by their id. */
    readonly at: readonly Failing[]
  }
  /** The newest check of each scope, and the one that runs. */
  readonly books: readonly VerifyRun[]
  readonly workerAlive: boolean
  /** The shards that could not be asked: what is in them is not counted. */
  readonly missing: readonly number[]
}

interface OverviewWorld {
  readonly db: Db
  readonly clock: Clock
  readonly routes: () => readonly RouteState[]
  readonly workerAlive: () => boolean
}

type Held = Awaited<ReturnType<typeof readHeld>>

/** Read an overview once a second at most, for everybody who asks. */
export function sharedOverview(world: OverviewWorld): () => Promise<Overview> {
  const held = sharedAnswer(world.clock, HELD_KEPT_MS, () => heldIn(world.db))
  return sharedAnswer(world.clock, KEPT_MS, () => overview(world, held))
}

async function heldIn(db: Db): Promise<Held> {
  return partly(await eachInTurn(db.shards, readHeld)).known.flat()
}

/**
 * Everything that the first page of the console shows, over all shards: one statement at a time, so
 * that it is no burden and finds its place among other reading, however many shards there are.
 */
export async function overview(
  world: OverviewWorld,
  readAllHeld: () => Promise<Held> = () => heldIn(world.db),
): Promise<Overview> {
  const { db, clock } = world
  const { known: parts, missing } = partly(
    await eachInTurn(db.shards, async (shard) => ({
      queue: await viewQueue(shard),
      pending: await readPending(shard),
      letters: await readLetterSums(shard),
      failing: await readFailing(shard),
    })),
  )
  const { rows, ...counted } = await countedLately(db, clock.now().getTime())
  const queues = parts.map(({ queue }) => queue)
  const pending = parts.flatMap((part) => part.pending)
  const letters = parts.flatMap((part) => part.letters)
  const failing = parts.flatMap((part) => part.failing)
  const held = await readAllHeld()
  const endpoints = await listEndpoints(db.global)
  const books = await newestRuns(db.global)
  const unknown = letters.filter((one) => one.class === 'unknown')
  return {
    seconds: counted.seconds,
    accepted: sum(rows.map((row) => row.accepted)),
    lately: latelyOf(rows),
    queue: {
      due: sum(queues.map(({ due }) => due)),
      leased: sum(queues.map(({ leased }) => leased)),
      waiting: sum(queues.map(({ waiting }) => waiting)),
      oldestDueAt: oldest(queues.flatMap(({ oldestDueAt }) => oldestDueAt ?? [])),
    },
    atRisk: atRisk(db.currency, { unknown, pending, held }),
    letters: {
      failed: amountOf(letters.filter((one) => one.class === 'failed')),
      unknown: amountOf(unknown),
    },
    gateways: world.routes().map((route) => ({
      ...route,
      lately: latelyOf(rows.filter(({ gateway }) => gateway === route.gateway)),
    })),
    webhooks: {
      endpoints: endpoints.length,
      disabled: endpoints.filter(({ state }) => state === 'disabled').length,
      failing: new Set(failing.map(({ endpointId }) => endpointId)).size,
      deliveries: sum(failing.map(({ count }) => count)),
      oldestAt: oldest(failing.map(({ oldestAt }) => oldestAt)),
      at: byEndpoint(failing),
    },
    books,
    workerAlive: world.workerAlive(),
    missing: [...new Set([...missing, ...counted.missing])].toSorted((one, other) => one - other),
  }
}

/** What was counted lately, of how many seconds that is, and the shards that it is not of. */
async function countedLately(db: Db, nowMs: number) {
  const fromMs = Math.floor(nowMs / MINUTE_MS - (LATELY_MINUTES - 1)) * MINUTE_MS
  const [from, to] = [new Date(fromMs), new Date(fromMs + LATELY_MINUTES * MINUTE_MS)]
  const { known, missing } = await partlyByServer(db, (session, server) =>
    readSeries(session, server, { from, to, stepSeconds: 60 }),
  )
  const seconds = Math.max(1, Math.round((nowMs - fromMs) / 1_000))
  return { seconds, rows: known.flat(), missing }
}

/** What did not arrive at each endpoint, over all shards. */
function byEndpoint(parts: readonly Failing[]): Failing[] {
  const known = new Map<bigint, Failing>()
  for (const part of parts) {
    const before = known.get(part.endpointId)
    known.set(part.endpointId, {
      endpointId: part.endpointId,
      count: part.count + (before?.count ?? 0),
      oldestAt:
        before !== undefined && before.oldestAt < part.oldestAt ? before.oldestAt : part.oldestAt,
    })
  }
  return [...known.values()].sort((one, other) => (one.endpointId < other.endpointId ? -1 : 1))
}

type SeriesRows = Awaited<ReturnType<typeof readSeries>>

function latelyOf(rows: SeriesRows): Lately {
  const classes = rows.reduce<number[]>((all, { latency }) => plusClasses(all, latency), [])
  return {
    succeeded: sum(rows.map(({ succeeded }) => succeeded)),
    failed: sum(rows.map(({ failed }) => failed)),
    unknown: sum(rows.map(({ inDoubt }) => inDoubt)),
    p50Ms: quantileMs(classes, 0.5),
    p95Ms: quantileMs(classes, 0.95),
  }
}

interface Part {
  readonly currency: string | null
  readonly count: number
  readonly amount: bigint
  readonly oldestAt: Date
}

/** Sums by currency, that of the books first and always, the others by name. */
function atRisk(
  books: string,
  parts: {
    readonly unknown: readonly Part[]
    readonly pending: readonly Part[]
    readonly held: Held
  },
): AtRisk[] {
  const all = [...parts.unknown, ...parts.pending, ...parts.held]
  const codes = new Set(all.map(({ currency }) => currency ?? books))
  codes.delete(books)
  return [books, ...[...codes].toSorted()].map((code) => {
    const inCode = <One extends { readonly currency: string | null }>(list: readonly One[]) =>
      list.filter(({ currency }) => (currency ?? books) === code)
    return {
      currency: code,
      unknown: amountOf(inCode(parts.unknown)),
      pending: amountOf(inCode(parts.pending)),
      held: inCode(parts.held).reduce((total, { held }) => total + held, 0n),
    }
  })
}

function amountOf(parts: readonly Part[]): Amount {
  return {
    count: sum(parts.map(({ count }) => count)),
    amount: parts.reduce((total, { amount }) => total + amount, 0n),
    oldestAt: oldest(parts.map(({ oldestAt }) => oldestAt)),
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}

function oldest(times: readonly Date[]): Date | null {
  const [first, ...others] = times
  if (first === undefined) return null
  return others.reduce((least, time) => (time < least ? time : least), first)
}
