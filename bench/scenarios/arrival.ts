import type { System } from '../../tools/load/report.ts'
import { loadOn, recorder } from '../measure.ts'
import { sleep, type Database, type Rig, type Running } from '../rig.ts'
import type { Question } from '../scenario.ts'
import { openBaseline } from './accept.ts'
import { turnGateway } from '../../tools/client.ts'

/** The oldest due task must stay younger than this, in seconds. */
const AGE_MAX = 2
const LATENCY_MS = 50

/** One side: where requests go, and how old its oldest due task is. */
interface Side {
  readonly system: System
  readonly api: Running
  readonly age: () => Promise<number>
  /** Begin the next step with an empty queue. */
  readonly clear: () => Promise<void>
  /** Rates to try: where to begin and by what factor to go on. */
  readonly begin: number
  readonly factor: number
  readonly ms: number
}

export const arrival: Question = {
  name: 'arrival',
  title: 'End to end: the highest arrival rate with the oldest due task younger than 2 s',
  async run(rig) {
    const record = recorder()
    const ours = await openOurs(rig)
    const theirs = await openTheirs(rig)
    const facts: string[] = []
    for (const side of [theirs, ours.side]) {
      const rate = await search(rig, side, facts)
      record.add(side.system, side.system, rate)
    }
    facts.push(
      'Gateway: 50 ms, 10 % timeouts (the caller hangs up after 1 s), 25 % errors; 3 attempts.',
      'A rate passes when the age stays below 2 s throughout the second half of its window.',
    )
    await ours.side.clear()
    return { measures: record.measures(), facts, books: [ours.database] }
  },
}

/** The product's own mock gateway at its default faults, one for each side. */
async function openGateway(rig: Rig): Promise<string> {
  const gateway = await rig.start('mock-gateway', { MOCK_GATEWAY_SEED: '7' })
  const url = `${gateway.url}/api/v1/mock-gateway`
  await turnGateway(url, { latency_ms: LATENCY_MS })
  return url
}

async function openOurs(rig: Rig): Promise<{ side: Side; database: Database }> {
  const database = await rig.database('bench_arrival')
  const env = { DATABASE_URL: database.url }
  const api = await rig.start('api', env)
  const gateway = await openGateway(rig)
  // Calls in flight = rate × 1.5 attempts × 0.15 s, and a timeout holds its slot for a second.
  const tuned = { PAYMENT_GATEWAY_URL: gateway, WORKER_CONCURRENCY: '2000' }
  await rig.start('worker', { ...env, ...tuned })
  const due = `
    select coalesce(extract(epoch from clock_timestamp() - min(run_at)), 0)::float8 as age
    from payment_tasks`
  const age = async () => (await database.sql<{ age: number }>(due))[0]?.age ?? 0
  const clear = async () => {
    // Retries in flight may go on; what is due must be gone.
    for (let look = 0; look < 150 && (await age()) > 0; look += 1) await sleep(200)
  }
  const [begin, factor] = [2_000, 1.35]
  const ms = rig.quick ? 6_000 : 10_000
  return { side: { system: 'ours', api, age, clear, begin, factor, ms }, database }
}

async function openTheirs(rig: Rig): Promise<Side> {
  const database = await openBaseline(rig, 'bench_arrival_baseline')
  const env = { DATABASE_URL: database.url }
  const api = await rig.run('baseline/api.ts', env)
  const gateway = await openGateway(rig)
  await rig.run('baseline/worker.ts', { ...env, PAYMENT_GATEWAY_URL: gateway })
  const due = `
    select coalesce(extract(epoch from clock_timestamp() - min(next_retry_at)), 0)::float8 as age
    from payment_tasks where status = 'pending'`
  const age = async () => (await database.sql<{ age: number }>(due))[0]?.age ?? 0
  const clear = async () => {
    await database.sql(`update payment_tasks set status = 'skipped' where status = 'pending'`)
    await sleep(1_500)
  }
  const ms = rig.quick ? 12_000 : 20_000
  return { system: 'baseline', api, age, clear, begin: 3, factor: 1.35, ms }
}

/** Go up from `begin` until a rate fails, or down until one passes; then once between the two. */
async function search(rig: Rig, side: Side, facts: string[]): Promise<number> {
  const holds = async (rate: number): Promise<boolean> => {
    const worst = await oldest(rig, side, rate)
    const text = rate < 10 ? rate.toFixed(1) : Math.round(rate)
    const seen = Number.isFinite(worst)
      ? `the oldest due task was ${worst.toFixed(1)} s old`
      : 'not all requests were accepted'
    facts.push(`${side.system}: at ${text}/s ${seen}.`)
    await side.clear()
    return worst < AGE_MAX
  }
  const { begin, factor } = side
  let [passed, failed] = [0, Number.POSITIVE_INFINITY]
  let rate = begin
  for (let step = 0; step < 8 && (passed === 0 || failed === Number.POSITIVE_INFINITY); step += 1) {
    if (await holds(rate)) passed = rate
    else failed = rate
    rate = passed === 0 ? rate / factor : rate * factor
  }
  const middle = (passed + failed) / 2
  if (passed > 0 && Number.isFinite(middle) && !rig.quick && (await holds(middle))) passed = middle
  return passed
}

/** The age of the oldest due task at its worst in the second half of a run at `rate`. */
async function oldest(rig: Rig, side: Side, rate: number): Promise<number> {
  const watched = { worst: 0, on: true }
  const startMs = performance.now()
  const watch = async () => {
    while (watched.on) {
      await sleep(250)
      const age = await side.age()
      if (performance.now() - startMs > side.ms / 2) watched.worst = Math.max(watched.worst, age)
    }
  }
  const watching = watch()
  const label = `${side.system}, arrivals at ${rate.toFixed(1)}/s`
  const load = { connections: 64, ms: side.ms, ratePerSecond: rate, warmupMs: 0 }
  const seen = await loadOn(rig, label, side.api, load)
  watched.on = false
  await watching
  // What was refused did not arrive.
  return seen.load.perSecond < rate * 0.95 ? Number.POSITIVE_INFINITY : watched.worst
}
