import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { end, freePort } from '../tools/child.ts'
import { median } from '../tools/load/report.ts'
import { loadOn } from './measure.ts'
import { coresUsed, cpuTimes } from './processes.ts'
import { openRig, ROOT, sleep, type Database, type Rig, type Running } from './rig.ts'
import { ACCEPT_ONLY } from './scenario.ts'
import { runBench } from './run-bench.ts'

/**
 * What a pooler between the service and PostgreSQL costs: `npm run bench:pooler`. One API goes to
 * the database, others through PgBouncer in transaction mode, with prepared statements where it
 * keeps them and without; they accept in turn. Prints rates and processor time against the first.
 * Ends with 1 where prepared statements through a pooler are below the bar by both.
 */
interface Options {
  readonly pgbouncer: string
  readonly rounds: string
  readonly ms: string
  readonly bar: string
  readonly dist: string
}

/** Nobody's account: PgBouncer refuses to run as root. */
const NOBODY = 65_534
const POOLED = { DATABASE_POOLER: 'transaction' }
/** How the name of a side with prepared statements ends. */
const PREPARED = ', prepared statements'
const UNPREPARED = { DATABASE_PREPARED_STATEMENTS: 'false' }

const say = (line: string) => void process.stderr.write(`${line}\n`)

interface Side {
  readonly name: string
  readonly api: Running
  readonly pooler: number | null
  readonly rates: number[]
  readonly micros: number[]
}

/** Such as [1, 18]; null: there is no such program. */
function versionOf(program: string): readonly [number, number] | null {
  try {
    const text = execFileSync(program, ['--version'], { encoding: 'utf8' })
    const [, major = '', minor = ''] = /PgBouncer (\d+)\.(\d+)/.exec(text) ?? []
    return [Number(major), Number(minor)]
  } catch {
    return null
  }
}

/** Start a pooler in front of a database. */
async function pool(program: string, { url }: Database, folder: string, prepared: boolean) {
  const port = await freePort()
  const { hostname, port: serverPort, username, password, pathname } = new URL(url)
  const file = join(folder, `pgbouncer-${port}.ini`)
  const lines = [
    '[databases]',
    `* = host=${hostname} port=${serverPort} user=${username} password=${password}`,
    '[pgbouncer]',
    `listen_addr = 127.0.0.1`,
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    ...(prepared ? ['max_prepared_statements = 1000'] : []),
  ]
  fs.writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o644 })
  const account = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
  const child = spawn(program, [file], { stdio: 'ignore', ...account })
  await sleep(500)
  return { child, url: `postgresql://pooled@127.0.0.1:${port}${pathname}` }
}

/** A side whose API goes to a database of its own, through a pooler or not. */
type Open = (name: string, program: string | null, prepared: boolean) => Promise<Side>

function opener(rig: Rig, folder: string, poolers: ChildProcess[]): Open {
  let count = 0
  return async (name, program, prepared) => {
    count += 1
    const database = await rig.database(`pooler_${count}`)
    const pooler = program === null ? null : await pool(program, database, folder, prepared)
    if (pooler !== null) poolers.push(pooler.child)
    const api = await rig.start('api', {
      DATABASE_URL: pooler?.url ?? database.url,
      AUTO_CREATE_TABLES: 'false',
      ...ACCEPT_ONLY,
      ...(pooler === null ? {} : POOLED),
      ...(prepared ? {} : UNPREPARED),
    })
    return { name, api, pooler: pooler?.child.pid ?? null, rates: [], micros: [] }
  }
}

/** Every side there can be with these programs; says which there cannot be. */
async function openSides(open: Open, programs: readonly string[]): Promise<Side[]> {
  const sides = [await open('direct', null, true)]
  for (const program of programs) {
    const version = versionOf(program)
    if (version === null) {
      say(`skipped: ${program} is not installed`)
      continue
    }
    const name = `PgBouncer ${version.join('.')}`
    sides.push(await open(`${name}, no prepared statements`, program, false))
    if (version[0] === 1 && version[1] < 21) say(`skipped: ${name} keeps no prepared statements`)
    else sides.push(await open(`${name}${PREPARED}`, program, true))
  }
  return sides
}

async function measure(rig: Rig, side: Side, ms: number): Promise<void> {
  const { name, api, pooler, rates, micros } = side
  const before = cpuTimes({ pooler })
  const startMs = performance.now()
  const seen = await loadOn(rig, name, api, { connections: 128, ms })
  const used = coresUsed(before, cpuTimes({ pooler }), performance.now() - startMs)
  const { server = 0, postgres = 0 } = seen.cores
  const { perSecond } = seen.load
  rates.push(perSecond)
  micros.push(((server + postgres + (used['pooler'] ?? 0)) / perSecond) * 1e6)
}

/** Print what was measured; false: prepared statements through a pooler cost too much. */
function told(sides: readonly Side[], bar: number): boolean {
  const [direct] = sides
  const ratios = sides.map(({ name, rates, micros }) => {
    const byRate = median(rates) / median(direct?.rates ?? [])
    const byTime = median(direct?.micros ?? []) / median(micros)
    process.stdout.write(
      `${name}: ${median(rates).toFixed(0)}/s, ${median(micros).toFixed(0)} µs each in service, ` +
        `pooler and PostgreSQL; ${byRate.toFixed(2)} × by rate, ` +
        `${byTime.toFixed(2)} × by processor time\n`,
    )
    return name.endsWith(PREPARED) ? Math.max(byRate, byTime) : Infinity
  })
  return ratios.every((ratio) => ratio >= bar)
}

async function main({ pgbouncer, rounds, ms, bar, dist }: Options): Promise<void> {
  const rows = { history: 0, backlog: 0 }
  const rig = await openRig({ dist, quick: false, rows, profiles: null, log: say })
  const folder = fs.mkdtempSync(join(ROOT, '.data', 'pooler-'))
  fs.chmodSync(folder, 0o755)
  const poolers: ChildProcess[] = []
  try {
    const sides = await openSides(opener(rig, folder, poolers), pgbouncer.split(','))
    for (let round = 0; round < Number(rounds); round += 1) {
      for (const side of sides) await measure(rig, side, Number(ms))
    }
    process.exitCode = told(sides, Number(bar)) ? 0 : 1
  } finally {
    await rig.clear()
    for (const child of poolers) await end(child, 5_000)
    await rig.stop()
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

runBench(
  new Command('bench:pooler')
    .description('Measure what a connection pooler costs.')
    .option('--pgbouncer <programs>', 'PgBouncers to measure, by comma', 'pgbouncer')
    .option('--rounds <n>', 'how often each is measured', '5')
    .option('--ms <n>', 'how long each measurement takes', '4000')
    .option('--bar <ratio>', 'of prepared statements through a pooler', '0.9')
    .option('--dist <folder>', 'the built service', join(ROOT, 'dist'))
    .action(main),
)
