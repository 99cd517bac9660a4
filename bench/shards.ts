import { join } from 'node:path'
import { Command } from 'commander'
import { median } from '../tools/load/report.ts'
import type { Traffic } from '../tools/load/plan.ts'
import { migrate } from '../src/adapters/migrate.ts'
import { loadOn } from './measure.ts'
import { insertUsers, openRig, ROOT, USERS, type Database, type Rig, type Running } from './rig.ts'
import { ACCEPT_ONLY } from './scenario.ts'
import { drainWith, ourWorker } from './scenarios/drain.ts'
import { runBench } from './run-bench.ts'

/**
 * What many shards cost on one server: `npm run bench:shards`. Databases with each number of shards
 * are accepted into and worked off in turn, and compared with the first of them by rate and by
 * processor time of the service and PostgreSQL. Ends with 1 where one is below the bar by both.
 */
interface Options {
  readonly shards: string
  readonly rounds: string
  readonly ms: string
  readonly bar: string
  readonly dist: string
}

interface Side {
  readonly shards: string
  readonly database: Database
  readonly seen: Map<string, { rates: number[]; micros: number[] }>
}

const BULK: Traffic = { kind: 'bulk', users: USERS, items: 1_000 }
const ACCEPTS = [
  ['accept, 128 connections', { connections: 128 }],
  ['accept, 512 connections', { connections: 512 }],
  ['accept in bulk, 8 connections', { connections: 8, traffic: BULK }],
] as const
/** Accepted in bulk before it is worked off, for so long. */
const FILL = { connections: 8, traffic: BULK, warmupMs: 0 }

function keep({ seen }: Side, what: string, rate: number, cores: number): void {
  const kept = seen.get(what) ?? { rates: [], micros: [] }
  seen.set(what, kept)
  kept.rates.push(rate)
  kept.micros.push((cores / rate) * 1e6)
}

async function round(rig: Rig, sides: readonly Side[], gateway: Running, ms: number) {
  for (const [what, load] of ACCEPTS) {
    for (const side of sides) {
      const { shards, database } = side
      const api = await rig.start('api', {
        DATABASE_URL: database.url,
        SHARDS: shards,
        ...ACCEPT_ONLY,
      })
      const { load: done, cores } = await loadOn(rig, `${shards} shards, ${what}`, api, {
        ms,
        ...load,
      })
      keep(side, what, done.perSecond, (cores.server ?? 0) + (cores.postgres ?? 0))
      await api.stop()
    }
  }
  for (const side of sides) {
    const { shards, database } = side
    const api = await rig.start('api', {
      DATABASE_URL: database.url,
      SHARDS: shards,
      ...ACCEPT_ONLY,
    })
    await loadOn(rig, `${shards} shards, to work off`, api, { ...FILL, ms })
    await api.stop()
    await rig.quiet()
    const worker = await ourWorker(rig, database, gateway, { SHARDS: shards })
    const { perSecond, seen } = await drainWith(
      rig,
      `${shards} shards, drain`,
      { worker, gateway },
      ms,
    )
    keep(side, 'drain', perSecond, (seen.cores.worker ?? 0) + (seen.cores.postgres ?? 0))
  }
}

/** Print the medians; false: somewhere many shards cost too much by both. */
function told([first, ...others]: readonly Side[], bar: number): boolean {
  let ok = true
  for (const [what, { rates, micros }] of first?.seen ?? []) {
    const base = { rate: median(rates), micros: median(micros) }
    const texts = [`${first?.shards}: ${base.rate.toFixed(0)}/s, ${base.micros.toFixed(0)} µs`]
    for (const { shards, seen } of others) {
      const rate = median(seen.get(what)?.rates ?? [])
      const each = median(seen.get(what)?.micros ?? [])
      const [byRate, byTime] = [rate / base.rate, base.micros / each]
      ok &&= Math.max(byRate, byTime) >= bar
      texts.push(
        `${shards}: ${rate.toFixed(0)}/s, ${each.toFixed(0)} µs, ` +
          `${byRate.toFixed(2)} × by rate, ${byTime.toFixed(2)} × by processor time`,
      )
    }
    process.stdout.write(`${what}: ${texts.join('; ')}\n`)
  }
  return ok
}

async function main({ shards, rounds, ms, bar, dist }: Options): Promise<void> {
  const log = (line: string) => void process.stderr.write(`${line}\n`)
  const rows = { history: 0, backlog: 0 }
  const rig = await openRig({ dist, quick: false, rows, profiles: null, log })
  try {
    const gateway = await rig.run('gateway.ts', {})
    const sides: Side[] = []
    for (const count of shards.split(',')) {
      const database = await rig.emptyDatabase(`shards_${count}`)
      await migrate(database.url, { dir: join(rig.program, '..', '..', 'migrations') })
      await insertUsers(database, Number(count))
      await database.sql('vacuum analyze')
      sides.push({ shards: count, database, seen: new Map() })
    }
    for (let count = 0; count < Number(rounds); count += 1) {
      await round(rig, sides, gateway, Number(ms))
    }
    process.exitCode = told(sides, Number(bar)) ? 0 : 1
  } finally {
    await rig.stop()
  }
}

runBench(
  new Command('bench:shards')
    .description('Measure what many shards cost on one server.')
    .option(
      '--shards <list>',
      'numbers of shards; the first is what others are compared with',
      '1,64',
    )
    .option('--rounds <n>', 'how often each is measured', '3')
    .option('--ms <n>', 'how long each measurement takes', '4000')
    .option('--bar <ratio>', 'below which it is too much', '0.9')
    .option('--dist <folder>', 'the built service', join(ROOT, 'dist'))
    .action(main),
)
