/**
 * Run the deterministic simulator:
 *
 *     npx tsx scripts/simulate.ts [--seeds N] [--from S] [--seed n] [--json]
 *
 * `--seed n` replays one seed step by step. Otherwise N seeds from S on are run, each a history of
 * its own with crashes, lost replies and a hostile gateway. Exits with 1 when a promise was broken.
 */
import { parseArgs } from 'node:util'
import { simulate, type SimulationResult } from '../test/simulation/run.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

function whole(name: 'seeds' | 'from' | 'seed', text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  console.error(`--${name} takes a whole number, not ${JSON.stringify(text)}.`)
  process.exit(2)
}

/** A bar on a terminal, which is drawn over itself; nothing elsewhere. */
function drawProgress(done: number, all: number, perMinute: number): void {
  if (!process.stderr.isTTY) return
  const width = 30
  const filled = Math.round((done / all) * width)
  const bar = '█'.repeat(filled) + '░'.repeat(width - filled)
  process.stderr.write(`\r${bar} ${done}/${all} seeds, ${perMinute} a minute `)
  if (done === all) process.stderr.write('\n')
}

async function runOne(seed: number): Promise<boolean> {
  const log = values.json ? null : (line: string) => console.log(line)
  const result = await simulate(seed, {}, log)
  console.log(values.json ? JSON.stringify(result) : tellOne(result))
  return result.failure === null
}

function tellOne({ seed, digest, steps, virtualMs, failure }: SimulationResult): string {
  const seconds = Math.round(virtualMs / 1_000)
  const told = `seed ${seed}: ${steps} steps, ${seconds} s of virtual time, digest ${digest}`
  return failure === null ? told : `${told}\nBROKEN at step ${failure.step}: ${failure.message}`
}

async function runMany(from: number, count: number): Promise<boolean> {
  const startedMs = performance.now()
  const perMinute = (done: number) => Math.round((done / (performance.now() - startedMs)) * 60_000)
  const totals = { faults: {}, reached: {} } as Record<'faults' | 'reached', Record<string, number>>
  const broken: { seed: number; message: string }[] = []
  let steps = 0
  for (let done = 0; done < count; done += 1) {
    const result = await simulate(from + done)
    steps += result.steps
    add(totals.faults, result.faults)
    add(totals.reached, result.reached)
    if (result.failure !== null) broken.push({ seed: result.seed, message: result.failure.message })
    if (done % 20 === 19 || done === count - 1) drawProgress(done + 1, count, perMinute(done + 1))
  }
  const summary = { seeds: count, from, steps, seedsPerMinute: perMinute(count), ...totals, broken }
  console.log(values.json ? JSON.stringify(summary) : tellMany(summary))
  return broken.length === 0
}

function add(totals: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count
}

function tellMany(summary: {
  readonly seeds: number
  readonly from: number
  readonly steps: number
  readonly seedsPerMinute: number
  readonly faults: Readonly<Record<string, number>>
  readonly reached: Readonly<Record<string, number>>
  readonly broken: readonly { readonly seed: number; readonly message: string }[]
}): string {
  const { seeds, steps, broken } = summary
  const table = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .toSorted(([one], [other]) => one.localeCompare(other))
      .map(([name, count]) => `  ${name.padEnd(24)}${count}`)
  return [
    `${seeds} seeds, ${steps} steps, ${summary.seedsPerMinute} seeds per minute`,
    'faults that happened:',
    ...table(summary.faults),
    'what was reached:',
    ...table(summary.reached),
    broken.length === 0 ? 'No promise was broken.' : 'BROKEN:',
    ...broken.map(({ seed, message }) => `  seed ${seed}: ${message} (--seed ${seed})`),
  ].join('\n')
}

const kept =
  values.seed === undefined
    ? await runMany(whole('from', values.from), whole('seeds', values.seeds))
    : await runOne(whole('seed', values.seed))
process.exitCode = kept ? 0 : 1
