import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { coresUsed, cpuTimes } from './processes.ts'
import { adminOf, openRig, ROOT, sleep } from './rig.ts'
import { runBench } from './run-bench.ts'

/**
 * What a service costs that has nothing to do: processor time of its processes, and of PostgreSQL
 * with all of its own, as the system counts it. Ends with 1 above the bar.
 */
interface Options {
  readonly shards: string
  readonly processes: string
  readonly seconds: string
  readonly bar: string
  readonly dist: string
  readonly profile?: string
}

/** How long after the start it is measured: loops have found out by then that there is nothing. */
const SETTLE_MS = 20_000

const GATEWAYS = { GATEWAYS: 'http,bank', GATEWAY_BANK_DRIVER: 'http' }

/** A statement, how often it was asked, and how long that took in milliseconds. */
interface Asked {
  readonly calls: number
  readonly ms: number
  readonly text: string
}

const MOST_ASKED = `
  select
    calls::float8 as calls, total_exec_time + total_plan_time as ms,
    left(regexp_replace(query, '\\s+', ' ', 'g'), 150) as text
  from pg_stat_statements
  order by calls desc
  limit 24`

async function main({ shards, processes, seconds, bar, dist, profile }: Options): Promise<void> {
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  const rows = { history: 0, backlog: 0 }
  const profiles = profile === undefined ? null : resolve(profile)
  const rig = await openRig({ dist, quick: false, rows, profiles, log: say })
  try {
    const database = await rig.emptyDatabase('idle')
    const admin = adminOf(rig, database)
    const gateway = await rig.start('mock-gateway', {})
    const url = `${gateway.url}/api/v1/mock-gateway`
    const env = {
      ...GATEWAYS,
      PAYMENT_GATEWAY_URL: url,
      GATEWAY_BANK_URL: url,
      DATABASE_URL: database.url,
      SHARDS: shards,
    }
    const pids: Record<string, number | null> = { PostgreSQL: rig.server.pid }
    for (let index = 1; index <= Number(processes); index += 1) {
      pids[`process ${index}`] = (await rig.start('start', env)).pid
    }
    await sleep(SETTLE_MS)
    await rig.quiet()
    await admin.sql('create extension pg_stat_statements')
    await admin.sql('select pg_stat_statements_reset()')
    const [before, beganMs] = [cpuTimes(pids), performance.now()]
    await sleep(Number(seconds) * 1_000)
    const tookMs = performance.now() - beganMs
    const used = coresUsed(before, cpuTimes(pids), tookMs)
    for (const { calls, ms, text } of await admin.sql<Asked>(MOST_ASKED)) {
      const [each, rate] = [(ms * 1_000) / calls, (calls * 1_000) / tookMs]
      say(`${rate.toFixed(1)}/s, ${each.toFixed(0)} µs each: ${text}`)
    }
    const percent = (cores: number) => `${(cores * 100).toFixed(2)} %`
    for (const [name, cores] of Object.entries(used)) say(`${name}: ${percent(cores)} of a core`)
    const all = Object.keys(pids).reduce((sum, name) => sum + (used[name] ?? 0), 0)
    process.stdout.write(
      `${shards} shards, 2 gateways, ${processes} processes with API and worker, idle for ` +
        `${Math.round(tookMs / 1_000)} s: ${percent(all)} of a core, PostgreSQL included\n`,
    )
    process.exitCode = all * 100 < Number(bar) ? 0 : 1
  } finally {
    await rig.stop()
  }
}

runBench(
  new Command('bench:idle')
    .description('Measure what a service costs that has nothing to do.')
    .option('--shards <n>', 'number of shards', '64')
    .option('--processes <n>', 'processes, each with API and worker', '4')
    .option('--seconds <n>', 'how long it is measured', '60')
    .option('--bar <percent>', 'of a core, from which on it is too much', '3')
    .option('--dist <folder>', 'the built service', join(ROOT, 'dist'))
    .option('--profile <folder>', 'leave processor profiles of our processes there')
    .action(main),
)
