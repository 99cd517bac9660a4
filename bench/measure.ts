import type { LoadResult, Plan, Traffic } from '../tools/load/plan.ts'
import { median, type Measure, type System } from '../tools/load/report.ts'
import { progress } from '../src/adapters/terminal.ts'
import { coresUsed, cpuTimes } from './processes.ts'
import { sleep, USERS, type Rig, type Running } from './rig.ts'

/** Collects the runs of several systems that are measured in turn. */
export interface Recorder {
  add(name: string, system: System, value: number, seen?: Partial<Seen>): void
  measures(): Measure[]
  /** The median of a measure, or NaN. */
  median(name: string): number
}

interface Seen {
  readonly unit: Measure['unit']
  readonly load: LoadResult
  readonly cores: Readonly<Record<string, number>>
  readonly seconds: readonly number[]
}

export function recorder(): Recorder {
  const all = new Map<string, { system: System; values: number[]; seen: Partial<Seen>[] }>()
  const measures = (): Measure[] =>
    [...all].map(([name, { system, values, seen }]) => {
      const middle = median(values)
      // Latencies and cores are those of the run that is nearest to the median.
      const nearest = values.reduce(
        (best, value, index) =>
          Math.abs(value - middle) < Math.abs((values[best] ?? 0) - middle) ? index : best,
        0,
      )
      const { unit = '/s', load, cores, seconds } = seen[nearest] ?? {}
      const loaded =
        load === undefined
          ? {}
          : {
              latency: load.latency,
              buckets: thin(load),
              seconds: load.seconds,
              perSecond: load.perSecond,
            }
      return {
        name,
        system,
        unit,
        runs: values,
        median: middle,
        ...loaded,
        ...(seconds === undefined ? {} : { seconds }),
        ...(cores === undefined ? {} : { cores }),
      }
    })
  return {
    add(name, system, value, seen = {}) {
      const entry = all.get(name) ?? { system, values: [], seen: [] }
      entry.values.push(value)
      entry.seen.push(seen)
      all.set(name, entry)
    },
    measures,
    median: (name) => median(all.get(name)?.values ?? []),
  }
}

/** Results stay small: some points of the distribution are enough to draw it. */
function thin(load: LoadResult): Measure['buckets'] & object {
  const points = 24
  const total = load.buckets.reduce((sum, bucket) => sum + bucket.count, 0)
  const kept: { upToMs: number; count: number }[] = []
  let count = 0
  for (const bucket of load.buckets) {
    count += bucket.count
    if (count < total / points && bucket !== load.buckets.at(-1)) continue
    kept.push({ upToMs: bucket.upToMs, count })
    count = 0
  }
  return kept
}

export interface Load {
  readonly connections: number
  readonly ms: number
  readonly traffic?: Traffic
  readonly ratePerSecond?: number
  readonly warmupMs?: number
}

/** Half deposits, half withdrawals, of 10,000 users, without keys. */
export const ACCEPT: Traffic = { kind: 'accept', users: USERS, keys: false }

let seed = 1

/** Put load on a server and see what it does, and who uses the processor meanwhile. */
export async function loadOn(
  rig: Rig,
  label: string,
  server: Running,
  load: Load,
): Promise<{ load: LoadResult; cores: Readonly<Record<string, number>> }> {
  seed += 1
  const warmupMs = load.warmupMs ?? (rig.quick ? 500 : 1_000)
  const plan: Plan = {
    host: '127.0.0.1',
    port: server.port,
    connections: load.connections,
    ratePerSecond: load.ratePerSecond ?? 'closed',
    warmupMs,
    durationMs: load.ms,
    traffic: load.traffic ?? ACCEPT,
    seed,
  }
  const bar = progress(label, 0)
  const pids = { server: server.pid, postgres: rig.server.pid, load: rig.loader.pid }
  await rig.quiet()
  const before = cpuTimes(pids)
  const startMs = performance.now()
  const result = await rig.loader.run(plan, (count) => bar.tick(count))
  const cores = coresUsed(before, cpuTimes(pids), performance.now() - startMs)
  bar.done(`${Math.round(result.perSecond).toLocaleString('en-US')}/s`)
  const bad = Object.entries(result.statuses).filter(([status]) => !status.startsWith('2'))
  const text = bad.map(([status, count]) => `${count} x ${status}`).join(', ')
  if (bad.length > 0 || result.faults > 0) {
    process.stderr.write(`  ${label}: ${text} and ${result.faults} broken connections\n`)
  }
  return { load: result, cores }
}

/** Read a counter of a process in the Prometheus text that it serves. */
export async function counter(server: Running, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  const value = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1]
  return Number(value ?? 0)
}

/** How fast a counter rises over `ms`, counted from its first rise. */
export async function rateOf(
  read: () => Promise<number>,
  label: string,
  ms: number,
  settleMs: number,
): Promise<{ perSecond: number; seconds: number[]; total: number }> {
  const bar = progress(label, 0)
  const first = await untilAbove(read, await read())
  await sleep(settleMs)
  const points = [{ at: performance.now(), count: await read() }]
  const startMs = performance.now()
  while (performance.now() - startMs < ms) {
    const last = points.at(-1)
    await sleep(Math.min(1_000, Math.max(1, ms - (performance.now() - startMs))))
    const count = await read()
    bar.tick(count - (last?.count ?? 0))
    points.push({ at: performance.now(), count })
  }
  const [begin, end] = [points[0], points.at(-1)]
  const perSecond = speed(begin, end)
  bar.done(`${Math.round(perSecond).toLocaleString('en-US')}/s`)
  const seconds = points.slice(1).map((point, index) => speed(points[index], point))
  return { perSecond, seconds, total: (end?.count ?? 0) - first }
}

interface Point {
  readonly at: number
  readonly count: number
}

function speed(from: Point | undefined, to: Point | undefined): number {
  if (from === undefined || to === undefined) return Number.NaN
  return (to.count - from.count) / ((to.at - from.at) / 1_000)
}

const RISE_MS_MAX = 30_000

export async function untilAbove(read: () => Promise<number>, above: number): Promise<number> {
  const until = performance.now() + RISE_MS_MAX
  while (performance.now() < until) {
    const count = await read()
    if (count > above) return count
    await sleep(10)
  }
  throw new Error('nothing was done within 30 s')
}

/** Do something that says how many a second it did, and see who uses the processor meanwhile. */
export async function watched(
  rig: Rig,
  work: () => Promise<number>,
): Promise<{ perSecond: number; cores: Readonly<Record<string, number>> }> {
  const pids = { postgres: rig.server.pid }
  await rig.quiet()
  const before = cpuTimes(pids)
  // Not by its id: the database server may be a child of this process.
  const own = process.cpuUsage()
  const startMs = performance.now()
  const perSecond = await work()
  const ms = performance.now() - startMs
  const { user, system } = process.cpuUsage(own)
  // The time of a backend that ends is its parent's only when it is gone for good.
  await sleep(200)
  const { others = 0, ...cores } = coresUsed(before, cpuTimes(pids), ms)
  const client = (user + system) / 1_000 / ms
  return { perSecond, cores: { client, ...cores, others: Math.max(0, others - client) } }
}
