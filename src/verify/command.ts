import type { Command } from 'commander'
import { feeMinsIn, parseFeeMins } from '../domain/fee.ts'
import { GATEWAY } from '../domain/payment.ts'
import { printableLines } from '../domain/printable.ts'
import type { AsJson } from '../adapters/command-options.ts'
import { CommandMisused, failureJson, withOpen, type Opened } from '../adapters/commands.ts'
import {
  type ProgressBar,
  type ProgressStream,
  progress,
  countText,
  wrapped,
} from '../adapters/terminal.ts'
import { httpCharges } from '../gateways/http-charges.ts'
import type { GatewayList } from '../ports.ts'
import type { Floor } from './check-rows.ts'
import type { Progress, VerifyWorld } from './pass.ts'
import { nameOf, reportJson, type Report } from './report.ts'
import type { ListedGateway } from './compare-with-gateway.ts'
import { EXAMPLES_MAX, verify } from './verify.ts'

/** Exit codes of `payments verify`. */
const CLEAN = 0
const VIOLATED = 1
/** It could not be checked: the call is wrong, or database or gateway cannot be read. */
const UNCHECKED = 2

/** What the command needs of the world. */
export interface VerifyCommandWorld extends VerifyWorld {
  /** The gateways of the configuration. */
  readonly gateways: readonly GatewayList[]
}

interface RunOptions extends AsJson {
  /** Compare with the gateways: `true` for those of the configuration, or a URL of the first. */
  readonly gateway?: boolean | string
  /** Decimal texts, as the configuration has them. */
  readonly feeFloor?: readonly string[]
  /** How many violations of each rule are named. */
  readonly examples?: string
}

/** Where the command writes: the result, and what people are told meanwhile. */
interface Streams {
  readonly out: ProgressStream
  readonly err: ProgressStream
}

const HELP = `
Exit codes: 0 the books are right; 1 violations were found; 2 they could not be
checked. It reads only, in short snapshots, and runs beside live traffic.`

const STREAMS: Streams = { out: process.stdout, err: process.stderr }

/**
 * Add `payments verify` to the program. `open` is called when it runs, and closed whatever happens.
 */
export function verifyCommand(
  program: Command,
  open: () => Promise<Opened<VerifyCommandWorld>>,
): void {
  program
    .command('verify')
    .description('Check every invariant of the books, online and read-only.')
    .option(
      '--gateway [url]',
      'compare with what the gateways executed; the URL is that of the first',
    )
    .option(
      '--fee-floor <amount>',
      'a former TRANSACTION_FEE_MIN; give each. A commission above its rate must then be one of ' +
        'them',
      (floor: string, floors: string[]) => [...floors, floor],
      [],
    )
    .option('--examples <count>', 'how many violations of each rule to name', `${EXAMPLES_MAX}`)
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HELP)
    .action(async (options: RunOptions) => {
      process.exitCode = await openAndRun(open, options, STREAMS)
    })
}

/** Open the world, run, close it. Returns the exit code; never throws. */
export async function openAndRun(
  open: () => Promise<Opened<VerifyCommandWorld>>,
  options: RunOptions,
  streams: Streams,
): Promise<number> {
  try {
    return await withOpen(open, (world) => runVerify(world, options, streams))
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    const said = `verify: ${printableLines(text)}`
    streams.err.write(`${options.json === true ? failureJson(error, UNCHECKED) : said}\n`)
    return UNCHECKED
  }
}

/**
 * Verify the books and print the report. Returns the exit code. Throws when database or gateway
 * cannot be read; wrong options are told on `streams.err`.
 */
export async function runVerify(
  world: VerifyCommandWorld,
  options: RunOptions,
  streams: Streams,
): Promise<number> {
  const read = readOptions(world, options)
  if (typeof read === 'string') {
    const said = failureJson(new CommandMisused(read), UNCHECKED)
    streams.err.write(`${options.json === true ? said : `verify: ${read}`}\n`)
    return UNCHECKED
  }
  const { gateways, feeFloors, examplesMax } = read
  const bars = barsOn(streams.err)
  const report = await verify(world, {
    gateways,
    ...(feeFloors.length === 0 ? {} : { feeFloors }),
    examplesMax,
    onProgress: bars.show,
  })
  bars.done()
  const text =
    options.json === true ? JSON.stringify(reportJson(report)) : table(report, streams.out.columns)
  streams.out.write(`${text}\n`)
  if (report.violations > 0) return VIOLATED
  // Half of the books are not the books.
  return report.missing.length > 0 ? UNCHECKED : CLEAN
}

interface ReadOptions {
  readonly gateways: readonly ListedGateway[]
  readonly feeFloors: readonly Floor[]
  readonly examplesMax: number
}

/** The options as values, or what is wrong with them. */
function readOptions(world: VerifyCommandWorld, options: RunOptions): ReadOptions | string {
  const { gateway = false, feeFloor = [], examples = `${EXAMPLES_MAX}` } = options
  const gateways = gateway === false ? [] : listsOf(world.gateways, gateway)
  if (typeof gateways === 'string') return gateways
  const feeFloors = readFloors(feeFloor, world.db.currency)
  if (typeof feeFloors === 'string') return feeFloors
  if (!/^[1-9]\d{0,5}$/.test(examples)) return '--examples must be a whole number from 1'
  return { gateways, feeFloors, examplesMax: Number(examples) }
}

/** The lists to compare with, or what is wrong. Credentials go to configured addresses alone. */
export function listsOf(
  configured: readonly GatewayList[],
  at: true | string,
): readonly ListedGateway[] | string {
  const [first] = configured
  if (at !== true) {
    if (!/^https?:\/\/[^\\]+$/.test(at) || !URL.canParse(at)) {
      return `--gateway must be an http or https URL`
    }
    return [{ gateway: first?.gateway ?? GATEWAY, list: httpCharges(at) }]
  }
  const lists: ListedGateway[] = []
  for (const { gateway, list } of configured) if (list !== null) lists.push({ gateway, list })
  // Half of them compared would look like all.
  if (lists.length === 0 || lists.length < configured.length) {
    return '--gateway needs PAYMENT_GATEWAY_URL or a URL of its own'
  }
  return lists
}

/** Floors as they are written, those without a currency in that of the books; or what is wrong. */
function readFloors(texts: readonly string[], books: string): readonly Floor[] | string {
  const read: Floor[] = []
  for (const text of texts) {
    const floors = feeMinsIn(parseFeeMins(text) ?? [], books) ?? []
    const before = read.length
    for (const [currency, minor] of floors) read.push({ currency, minor })
    if (read.length === before) {
      return `--fee-floor must be an amount such as 0.30 or JPY:40, not ${JSON.stringify(text)}`
    }
  }
  return read
}

/** One progress bar for each part of the pass, one after the other. */
export function barsOn(stream: ProgressStream) {
  let part: Progress['part'] | null = null
  let bar: ProgressBar | null = null
  let shown = 0
  return {
    show(at: Progress): void {
      if (at.part !== part) {
        bar?.done()
        part = at.part
        shown = 0
        bar = progress(`Checking ${part}`, part === 'gateway charges' ? 0 : at.total, stream)
      }
      bar?.tick(at.done - shown)
      shown = at.done
    },
    done: () => bar?.done(),
  }
}

/** The report for people: every rule with what it looked at, then what is wrong. */
function table(report: Report, columns: number | undefined): string {
  const checked = report.rules.filter((rule) => rule.checked > 0 || rule.violations > 0)
  const width = Math.max(...checked.map(({ rule }) => rule.length))
  const row = (rule: string, count: string, verdict: string, holds: string) => {
    const head = `${rule.padEnd(width)}${count.padStart(11)}  ${verdict.padEnd(10)}`
    return head + wrapped(holds, head.length, columns)
  }
  const lines = checked.map(({ rule, checked: rows, violations, holds }) => {
    const verdict = violations === 0 ? 'ok' : `${countText(violations)} WRONG`
    return row(rule, countText(rows), `${verdict} `, holds)
  })
  const wrong = report.rules
    .filter(({ violations }) => violations > 0)
    .flatMap(({ rule, severity, violations, examples }) => [
      `${rule} (${severity}), ${violations} in all:`,
      ...examples.map((example) => `  ${nameOf(example)}`),
    ])
  const end = wrong.length > 0 ? ['', ...wrong] : []
  const head = row('Rule', 'Checked', 'Result', 'What holds')
  return ['', head, ...lines, ...end, '', wrapped(last(report), 0, columns)].join('\n')
}

function last(report: Report): string {
  const { payments, users } = {
    payments: report.checked.payment ?? 0,
    users: report.checked.user ?? 0,
  }
  const seen =
    `${counted(payments, 'payment')} and ${counted(users, 'user')} ` +
    `in ${(report.durationMs / 1_000).toFixed(1)} s, longest snapshot ${report.longestMs} ms`
  if (report.violations === 0 && report.missing.length > 0) {
    return (
      `Nothing is wrong with what could be read, ${seen}; ` +
      `not with all of it: shard ${report.missing.join(', ')} of the database is away.`
    )
  }
  if (report.violations === 0) return `The books are right: ${seen}.`
  return `${counted(report.violations, 'violation')}: ${seen}.`
}

/** A number with its noun: `1 user`, `2,000 payments`. */
function counted(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? '' : 's'}`
}
