import pg from 'pg'
import { fillBacklog, fillBaseline } from '../backlog.ts'
import { drainLimit } from '../limit/drain.ts'
import { counter, rateOf, recorder, watched } from '../measure.ts'
import { coresUsed, cpuTimes, type CpuTimes } from '../processes.ts'
import { sleep, type Database, type Rig, type Running } from '../rig.ts'
import { rounds, runMs, type Question } from '../scenario.ts'
import { openBaseline } from './accept.ts'

/**
 * The gateway counts, for every worker alike: a worker's own metrics read its whole queue. In a
 * steady state as many are settled as are charged, and the books are checked afterwards.
 */
export const DONE = 'gateway_charges_total'
/** More than a window of a fast drain finishes. */
const ENOUGH = 150_000

/** Run a worker on what is due, for a while, and see how fast it is; then it stops. */
export async function drainWith(
  rig: Rig,
  label: string,
  { worker, gateway }: { readonly worker: Running; readonly gateway: Running },
  ms: number,
): Promise<{ perSecond: number; seen: { cores: CpuTimes; seconds: number[] } }> {
  const pids = { worker: worker.pid, postgres: rig.server.pid, gateway: gateway.pid }
  const read = () => counter(gateway, DONE)
  const before = cpuTimes(pids)
  const startMs = performance.now()
  const { perSecond, seconds } = await rateOf(read, label, ms, 500)
  const cores = coresUsed(before, cpuTimes(pids), performance.now() - startMs)
  await worker.stop()
  return { perSecond, seen: { cores, seconds } }
}

/** Our worker with what is due in a database, calling this gateway. */
export function ourWorker(
  rig: Rig,
  database: Database,
  gateway: Running,
  more: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const env = {
    DATABASE_URL: database.url,
    PAYMENT_GATEWAY_URL: gateway.url,
    GATEWAY_ECHO: 'required',
    ...more,
  }
  return rig.start('worker', env)
}

export const drain: Question = {
  name: 'drain',
  title: 'Work off a backlog with an instant gateway',
  async run(rig) {
    const record = recorder()
    const ms = runMs(rig) * 1.5
    const gateway = await rig.run('gateway.ts', {})
    const database = await rig.database('bench_drain')
    const rows = await rig.database('bench_drain_limit')
    const theirs = await openBaseline(rig, 'bench_drain_baseline')
    const env = { DATABASE_URL: theirs.url, PAYMENT_GATEWAY_URL: gateway.url }
    for (const _ of rounds(rig)) {
      await fillBaseline(theirs, 20_000)
      const slow = await rig.run('baseline/worker.ts', env)
      const baseline = await drainWith(rig, 'drain, baseline', { worker: slow, gateway }, ms)
      record.add('baseline', 'baseline', baseline.perSecond, baseline.seen)
      await fillBacklog(database, ENOUGH)
      const worker = await ourWorker(rig, database, gateway)
      const ours = await drainWith(rig, 'drain, ours', { worker, gateway }, ms)
      record.add('ours', 'ours', ours.perSecond, ours.seen)
      await fillBacklog(rows, ENOUGH)
      for (const lanes of [1, 2]) {
        const work = () => drainLimit(rows, lanes, runMs(rig) / 2)
        const { perSecond, cores } = await watched(rig, work)
        const name = `claim and settle without HTTP, ${lanes} at a time`
        record.add(name, 'limit', perSecond, { cores })
      }
    }
    return { measures: record.measures(), books: [database, rows] }
  },
}

export const backlog: Question = {
  name: 'backlog',
  title: 'Work off a backlog of many against one of 10,000',
  async run(rig) {
    const record = recorder()
    const gateway = await rig.run('gateway.ts', {})
    const small = await rig.database('bench_backlog_small')
    const large = await rig.database('bench_backlog_large')
    await fillBacklog(large, rig.rows.backlog)
    const name = `backlog of ${rig.rows.backlog.toLocaleString('en-US')}`
    for (const _ of rounds(rig)) {
      const few = await ourWorker(rig, small, gateway)
      record.add('backlog of 10,000', 'ours', await drainBursts(small, gateway))
      await few.stop()
      const many = await ourWorker(rig, large, gateway)
      const seen = await drainWith(rig, name, { worker: many, gateway }, runMs(rig))
      record.add(name, 'ours', seen.perSecond, seen.seen)
    }
    return { measures: record.measures(), books: [small, large] }
  },
}

/** A backlog of 10,000 is gone in about a second: four of them in turn, each timed to its end. */
async function drainBursts(database: Database, gateway: Running): Promise<number> {
  const read = () => counter(gateway, DONE)
  let finished = 0
  let tookMs = 0
  for (let burst = 0; burst < 4; burst += 1) {
    const before = await read()
    await fillBacklog(database, 10_000)
    let first: { at: number; count: number } | null = null
    for (;;) {
      const count = (await read()) - before
      if (first === null && count > 0) first = { at: performance.now(), count }
      // The last few are the end of a queue rather than its middle.
      if (first !== null && count >= 9_500) {
        finished += count - first.count
        tookMs += performance.now() - first.at
        break
      }
      await sleep(10)
    }
    while ((await read()) - before < 10_000) await sleep(10)
  }
  return finished / (tookMs / 1_000)
}

export const snapshot: Question = {
  name: 'snapshot',
  title: 'Work off a backlog while an old snapshot keeps the vacuum from removing anything',
  async run(rig) {
    const record = recorder()
    const gateway = await rig.run('gateway.ts', {})
    const free = await rig.database('bench_snapshot_free')
    const held = await rig.database('bench_snapshot_held')
    const old = new pg.Client({ connectionString: held.url })
    await old.connect()
    await old.query('begin isolation level repeatable read')
    await old.query('select count(*) from payment_tasks')
    const facts: string[] = []
    for (const round of rounds(rig)) {
      for (const [name, database] of [
        ['no snapshot', free],
        ['snapshot held', held],
      ] as const) {
        await fillBacklog(database, ENOUGH)
        const worker = await ourWorker(rig, database, gateway)
        const { perSecond, seen } = await drainWith(rig, name, { worker, gateway }, runMs(rig))
        record.add(name, 'ours', perSecond, seen)
      }
      const [size] = await held.sql<{ mb: number }>(
        `select round(pg_total_relation_size('payment_tasks') / 1048576.0)::int as mb`,
      )
      facts.push(`Round ${round}: payment_tasks is ${size?.mb} MB under the snapshot.`)
    }
    await old.end()
    return { measures: record.measures(), facts, books: [free, held] }
  },
}
