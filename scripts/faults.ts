/**
 * Shake real processes and ask the witnesses: `npm run test:faults -- [--only a,b] [--seed N]
 * [--kills N] [--operations N] [--long] [--lanes 1|2] [--json] [--list]`.
 *
 * Exit code 0: every scenario that ran is green; 1: one is not; 2: the call is wrong. Writes
 * reports/faults.html, a timeline and a verdict for each scenario.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { SCENARIOS } from '../test/faults/all.ts'
import { KILLS_DEFAULT, page, shortfalls, table, type Run } from '../test/faults/report.ts'
import { runScenario, type Result, type Scenario } from '../test/faults/scenario.ts'
import { startServer, type Server } from '../test/faults/stack.ts'
import { ROOT } from '../test/sources.ts'
import { temporaryFolder } from './temporary.mjs'

const FAILED = 1
const MISUSED = 2
/** Away from the ports of the service, of the tests and of the fuzzer. */
const PORT = 55_620
/** The number of the lane that runs after the others. */
const ALONE = 2
const OPERATIONS_DEFAULT = 400

interface Options {
  readonly only?: string
  readonly seed: number
  readonly kills: number
  readonly operations: number
  readonly long?: boolean
  readonly lanes: number
  readonly json?: boolean
  readonly list?: boolean
}

const program = new Command('faults')
  .description('Shake real processes, and ask the witnesses what became of the money.')
  .option('--only <names>', 'scenarios to run, separated by commas; a prefix names several')
  .option('--seed <number>', 'where chance starts', whole, 1 + Math.floor(Math.random() * 1e9))
  .option('--kills <number>', 'SIGKILLs in each scenario of kills', whole, KILLS_DEFAULT)
  .option(
    '--operations <number>',
    'of mixed-operations and mixed-gateways',
    whole,
    OPERATIONS_DEFAULT,
  )
  .option('--long', 'outages as long as in service, where a scenario has a shorter form')
  .option('--lanes <number>', 'scenarios at the same time, 1 or 2', whole, 2)
  .option('--json', 'print the result as JSON')
  .option('--list', 'name the scenarios and end')
program.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : MISUSED))
program.parse()
// Ended from outside, `exit` still ends what was started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130))
process.exit(await main(program.opts<Options>()))

async function main(options: Options): Promise<number> {
  const tell = (line: string) => void process.stderr.write(`${line}\n`)
  if (options.list) {
    for (const { name, title } of SCENARIOS) process.stdout.write(`${name.padEnd(28)} ${title}\n`)
    return 0
  }
  const scenarios = chosen(options.only)
  if (scenarios === null) {
    tell(
      `no scenario is called like that; there are ${SCENARIOS.map(({ name }) => name).join(', ')}`,
    )
    return MISUSED
  }
  const folder = temporaryFolder('payments-faults-')
  const copy = copyProgram()
  const clear = () => {
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
    fs.rmSync(copy, { recursive: true, force: true })
  }
  process.once('exit', clear)
  const startedMs = performance.now()
  tell(`${scenarios.length} scenarios, seed ${options.seed}, ${options.kills} kills each`)
  const results: Result[] = []
  const lanes = options.lanes === 2 ? [0, 1] : [null]
  const run = async (own: readonly Scenario[], lane: number): Promise<void> => {
    const at = { program: join(copy, 'main.js'), folder, lane }
    results.push(...(await runLane(own, at, options, tell)))
  }
  const inLane = (lane: number | null) =>
    scenarios.filter((scenario) => scenario.lane === (lane ?? scenario.lane) && !isAlone(scenario))
  await Promise.all(lanes.map((lane) => run(inLane(lane), lane ?? 0)))
  await run(scenarios.filter(isAlone), ALONE)
  const order = new Map(scenarios.map(({ name }, index) => [name, index]))
  results.sort((one, other) => (order.get(one.name) ?? 0) - (order.get(other.name) ?? 0))
  const { seed, kills } = options
  return conclude({ results, seed, kills, tookMs: performance.now() - startedMs }, options, tell)
}

function isAlone({ lane }: Scenario): boolean {
  return lane === 'alone'
}

function conclude(run: Run, options: Options, tell: (line: string) => void): number {
  const reports = join(ROOT, 'reports')
  fs.mkdirSync(reports, { recursive: true })
  fs.writeFileSync(join(reports, 'faults.html'), page(run))
  if (options.json) process.stdout.write(`${JSON.stringify(run, withoutAnswers)}\n`)
  else process.stdout.write(table(run))
  tell('reports/faults.html has the timelines')
  // Part of the suite cannot have done what all of it has to.
  const short = options.only === undefined ? shortfalls(run) : []
  for (const line of short) tell(`FAILED   the suite as a whole: ${line}`)
  return run.results.every(({ ok }) => ok) && short.length === 0 ? 0 : FAILED
}

/** Single answers are for the timelines only. */
function withoutAnswers(key: string, value: unknown): unknown {
  return key === 'answers' || key === 'events' ? undefined : value
}

async function runLane(
  scenarios: readonly Scenario[],
  at: { readonly program: string; readonly folder: string; readonly lane: number },
  options: Options,
  tell: (line: string) => void,
): Promise<Result[]> {
  const folder = join(at.folder, `lane-${at.lane}`)
  fs.mkdirSync(folder)
  let server: Promise<Server> | null = null
  const shared = () => (server ??= startServer(folder, PORT + at.lane * 10))
  const results: Result[] = []
  for (const scenario of scenarios) {
    const { seed, kills, operations, long = false } = options
    const run = { ...at, folder, seed, kills, operations, long }
    const first = await runScenario(scenario, shared, run)
    const result = isChance(first) ? await runScenario(scenario, shared, run) : first
    if (result !== first) tell(`again    ${scenario.name}: ${wrongOf(first)}`)
    results.push(result)
    const verdict = result.skipped !== null ? 'skipped' : result.ok ? 'ok' : 'FAILED'
    tell(`${verdict.padEnd(8)} ${scenario.name} (${(result.tookMs / 1_000).toFixed(1)} s)`)
    if (result.skipped !== null) tell(`           ${result.skipped}`)
    if (!result.ok) tell(`  ${wrongOf(result)}`)
  }
  await (server as Promise<Server> | null)?.then((running) => running.stop())
  return results
}

/**
 * Whether nothing is wrong but times, or that too few faults were done. The machine may have been
 * busy with something else, so the scenario runs once more: what is slow twice is slow.
 */
function isChance({ ok, checks }: Result): boolean {
  return !ok && checks.every((one) => one.ok || one.chance === true)
}

function wrongOf({ checks }: Result): string {
  return checks.flatMap(({ ok, name, detail }) => (ok ? [] : [`${name}: ${detail}`])).join('\n  ')
}

/** The scenarios whose names begin with one of the given texts; null if one names none. */
function chosen(only: string | undefined): readonly Scenario[] | null {
  if (only === undefined) return SCENARIOS
  const wanted = only.split(',').map((text) => text.trim())
  const named = (text: string) => SCENARIOS.filter(({ name }) => name.startsWith(text))
  if (wanted.some((text) => named(text).length === 0)) return null
  return SCENARIOS.filter(({ name }) => wanted.some((text) => name.startsWith(text)))
}

/**
 * A copy of the program beside dist: processes are started all the time here, and a build meanwhile
 * must not change or remove what they run.
 */
function copyProgram(): string {
  const copy = join(ROOT, `.dist-faults-${process.pid}`)
  fs.cpSync(join(ROOT, 'dist'), copy, { recursive: true })
  return copy
}

function whole(text: string): number {
  const number = Number(text)
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return number
}
