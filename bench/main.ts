import * as fs from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { htmlReport } from '../tools/load/html.ts'
import { passes, textReport, type Report, type Scenario } from '../tools/load/report.ts'
import { barsOf } from './bars.ts'
import { checkBooks } from './books.ts'
import { DURABLE, gitShort, openDatabase, openRig, ROOT, type Rig } from './rig.ts'
import type { Known, Question } from './scenario.ts'
import { accept, bulk, hot, keys, latency, read } from './scenarios/accept.ts'
import { arrival } from './scenarios/arrival.ts'
import { bloat } from './scenarios/bloat.ts'
import { backlog, drain, snapshot } from './scenarios/drain.ts'
import { cold, memory } from './scenarios/service.ts'
import { history } from './scenarios/size.ts'
import { runBench } from './run-bench.ts'

/** In this order: later ones want to know what earlier ones found. */
const QUESTIONS: readonly Question[] = [
  accept,
  keys,
  bulk,
  hot,
  latency,
  read,
  drain,
  backlog,
  snapshot,
  bloat,
  arrival,
  memory,
  cold,
  history,
]

interface Options {
  readonly only?: string
  readonly quick?: boolean
  readonly json?: boolean
  readonly save: boolean
  readonly dist: string
  readonly history?: string
  readonly backlog?: string
  readonly profile?: string
}

runBench(
  new Command('bench')
    .description('Compare the service with a baseline and with the limits of this machine.')
    .option('--only <names>', `of ${QUESTIONS.map(({ name }) => name).join(', ')}`)
    .option('--quick', 'one short run of each instead of three')
    .option('--json', 'print JSON')
    .option('--no-save', 'keep no result in bench/results')
    .option('--dist <folder>', 'the built service to measure', join(ROOT, 'dist'))
    .option('--history <payments>', 'payments of the long history (5,000,000; quick: 200,000)')
    .option('--backlog <payments>', 'payments of the large backlog (1,000,000; quick: 100,000)')
    .option('--profile <folder>', 'leave processor profiles of our processes there')
    .action(main),
)

async function main(options: Options): Promise<void> {
  const quick = options.quick ?? false
  const questions = chosen(options.only)
  const startedAt = new Date().toISOString()
  const rig = await openRig({
    dist: resolve(options.dist),
    quick,
    rows: {
      history: Number(options.history ?? (quick ? 200_000 : 5_000_000)),
      backlog: Number(options.backlog ?? (quick ? 100_000 : 1_000_000)),
    },
    profiles: options.profile === undefined ? null : resolve(options.profile),
    log: say,
  })
  let stopping = false
  process.once('SIGINT', () => {
    stopping = true
    say('Stopping; what was measured so far is reported.')
  })
  try {
    const machine = await machineOf(rig)
    const scenarios: Scenario[] = []
    const known: Known = {}
    for (const question of questions) {
      if (stopping) break
      scenarios.push(await answer(rig, question, known))
    }
    const title = 'Payments benchmark'
    const facts = { title, startedAt, commit: gitShort(), quick, machine }
    const report: Report = { ...facts, scenarios, bars: barsOf(scenarios) }
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : textReport(report))
    if (options.save) save(report)
    const wrong = scenarios.some(({ books }) => books?.right === false)
    const missed = report.bars.some((bar) => passes(bar) === false)
    const failed = scenarios.some(({ measures }) => measures.length === 0)
    // 2: the books are wrong; 1: a bar was missed, or a scenario was not carried out; 0: neither.
    process.exitCode = wrong ? 2 : missed || failed ? 1 : 0
  } finally {
    await rig.stop()
  }
}

function chosen(only: string | undefined): readonly Question[] {
  if (only === undefined) return QUESTIONS
  const names = only.split(',').map((name) => name.trim())
  const unknown = names.filter((name) => !QUESTIONS.some((question) => question.name === name))
  if (unknown.length > 0) throw new Error(`there is no scenario ${unknown.join(', ')}`)
  return QUESTIONS.filter((question) => names.includes(question.name))
}

async function answer(rig: Rig, question: Question, known: Known): Promise<Scenario> {
  say(`\n${question.title}`)
  const { name, title } = question
  const startMs = performance.now()
  try {
    const { measures, facts = [], books = [] } = await question.run(rig, known)
    const checked = books.length === 0 ? null : await checkBooks(rig, books)
    if (checked !== null) say(`Books: ${checked.text}`)
    const tookSeconds = Math.round((performance.now() - startMs) / 1_000)
    return { name, title, measures, facts, books: checked, tookSeconds }
  } catch (error) {
    // One scenario that cannot be carried out is no reason to lose the others.
    say(`  failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    const tookSeconds = Math.round((performance.now() - startMs) / 1_000)
    return { name, title, measures: [], facts: [`failed: ${error}`], books: null, tookSeconds }
  } finally {
    await rig.clear()
  }
}

/** Refuses to measure a database that may forget: such figures would be worth nothing. */
async function machineOf(rig: Rig): Promise<Record<string, string>> {
  const database = openDatabase(rig.server.url, 'payments')
  const settings = await database.sql<{ name: string; setting: string }>(
    'select name, setting from pg_settings where name = any ($1)',
    [[...DURABLE, 'server_version', 'shared_buffers', 'max_wal_size']],
  )
  const of = (name: string) => settings.find((each) => each.name === name)?.setting ?? ''
  for (const name of DURABLE) if (of(name) !== 'on') throw new Error(`${name} is ${of(name)}`)
  const [cpu] = cpus()
  return {
    processor: `${cpus().length} x ${cpu?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    system: `${process.platform} ${process.arch}, Node ${process.versions.node}`,
    database: `PostgreSQL ${of('server_version')}, ${DURABLE.join(', ')} on`,
    layout: 'load generator, service, gateway and database on this machine',
  }
}

function save(report: Report): void {
  const folder = join(ROOT, 'bench', 'results')
  fs.mkdirSync(folder, { recursive: true })
  const stamp = report.startedAt.slice(0, 16).replace(/[:T]/g, '-')
  const file = join(folder, `${stamp}-${report.commit}${report.quick ? '-quick' : ''}.json`)
  fs.writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`)
  fs.writeFileSync(join(folder, 'latest.html'), htmlReport(report))
  say(`Saved ${file} and latest.html beside it.`)
}

/** To stderr, so that --json prints nothing else. */
function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
