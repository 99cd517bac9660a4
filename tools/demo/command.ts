import { InvalidArgumentError, type Command } from 'commander'
import { systemClock } from '../../src/adapters/clock.ts'
import { loadConfig, readEnvironment } from '../../src/config/config.ts'
import { writeJson } from '../../src/domain/exact-json.ts'
import { printable } from '../../src/domain/printable.ts'
import { progress } from '../../src/adapters/terminal.ts'
import { client, read, type Client } from '../client.ts'
import { booksOf, payAbroad } from './abroad.ts'
import { accept, openUsers, settle, type Drive } from './drive.ts'
import { inspect, readAudit, type Run } from './inspect.ts'
import { startOwn, type OwnService } from './service.ts'
import { plan } from './plan.ts'
import { format, report, type Report } from './report.ts'

interface Options {
  readonly url?: string
  readonly gateway: string
  readonly key?: string
  readonly payments: number
  readonly users: number
  readonly clients: number
  readonly seed: number
  readonly json?: boolean
}

/** `npm run demo`. Its exit code is 0 when every check passed and 1 otherwise. */
export function demoCommand(program: Command): Command {
  return program
    .description(
      'Send mixed payments to the running service through the mock gateway, and check the books.',
    )
    .option('--url <url>', 'the service; without it the local one, or one of its own')
    .option('--gateway <path>', 'where the service has the mock gateway', '/api/v1/mock-gateway')
    .option('--key <key>', 'an API key of the service, where it asks for one')
    .option('--payments <number>', 'payments to ask for', whole(1, 1_000_000), 2_000)
    .option('--users <number>', 'users to open', whole(1, 100_000), 100)
    .option('--clients <number>', 'clients at the same time', whole(1, 1_000), 50)
    .option('--seed <number>', 'the same seed asks for the same payments', whole(0, 2 ** 32 - 1), 1)
    .option('--json', 'print the report as JSON')
    .action(demo)
}

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`)
  }
}

async function demo(options: Options): Promise<void> {
  const say = options.json ? () => undefined : (line: string) => process.stdout.write(`${line}\n`)
  const { url, own } = await findService(options, say)
  let stopping: Promise<void> | null = null
  const stop = () => {
    if (own !== null && stopping === null) say('Stopping the service of the demo.')
    return (stopping ??= own?.stop() ?? Promise.resolve())
  }
  const interrupted = (signal: NodeJS.Signals) => {
    // The exit code a shell expects of a program that a signal ended; what the end of the service
    // makes of the requests in flight is told to nobody.
    void stop().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
  }
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted)
  const key = own === null ? (options.key ?? null) : null
  const api = client(url, { connections: options.clients, key, clock: systemClock })
  try {
    await own?.ready()
    if (own !== null) say(`It listens at ${url}`)
    const figures = await drive(options, api, own !== null, say)
    process.stdout.write(options.json ? `${writeJson(figures)}\n` : `${format(figures)}\n`)
    if (!figures.ok) process.exitCode = 1
  } finally {
    await api.close()
    await stop()
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted)
  }
}

/** The service that runs, or one of our own where nothing answers. */
async function findService(
  options: Options,
  say: (line: string) => void,
): Promise<{ url: string; own: OwnService | null }> {
  const environment = readEnvironment(process.cwd())
  const { port } = loadConfig(environment)
  const url = options.url ?? `http://127.0.0.1:${port}`
  const name = await nameOf(url)
  if (name === 'payments') {
    say(`Using the service at ${url}`)
    return { url, own: null }
  }
  if (options.url !== undefined) {
    throw new Error(`No payment service answers at ${url}: correct --url, or start one there.`)
  }
  const found = name === null ? 'Nothing answers' : 'Something else answers'
  say(`${found} at ${url}: starting a service with a database of its own ...`)
  const own = await startOwn(systemClock, environment, options.seed)
  return { url: own.url, own }
}

/** What answers at a URL: this service, something else, or nothing. */
async function nameOf(url: string): Promise<'payments' | 'other' | null> {
  try {
    const reply = await fetch(`${url.replace(/\/+$/, '')}/openapi.json`)
    const text = await reply.text()
    return text.includes('"/api/v1/payments/{id}"') ? 'payments' : 'other'
  } catch {
    return null
  }
}

async function drive(
  options: Options,
  api: Client,
  alone: boolean,
  say: (line: string) => void,
): Promise<Report> {
  const { payments, users, clients, seed, gateway } = options
  const driven: Drive = { api, clock: systemClock, clients }
  if ((await api.get(`${gateway}/audit`)).status === 404) {
    throw new Error('The service has no mock gateway here, and the demo moves no real money.')
  }
  const auditBefore = await readAudit(driven, gateway)
  say(`The gateway fails on purpose: ${await faults(api, gateway)}`)
  const userIds = await openUsers(driven, users)

  const accepting = bar(options, 'Accepting', payments)
  const mix = plan(payments, users, seed)
  const accepted = await accept(driven, userIds, mix, () => accepting.tick(1))
  accepting.done()

  const settling = bar(options, 'Settling', accepted.ids.length)
  const startedMs = systemClock.elapsedMs()
  const seen = await settle(driven, accepted.ids, (count) => settling.tick(count))
  const settleMs = systemClock.elapsedMs() - startedMs
  settling.done()

  const run: Run = { userIds, accepted, payments: seen, auditBefore, alone }
  const checks = await inspect(driven, gateway, run)
  const abroad = await payAbroad(driven)
  const figures = report({ users, clients, seed }, run, settleMs, [...checks, abroad])
  return { ...figures, books: await booksOf(driven) }
}

/** A progress bar; silent where JSON is asked for. */
function bar(options: Options, label: string, total: number) {
  if (!options.json) return progress(label, total)
  return { tick: () => undefined, done: () => undefined }
}

/** The faults of the mock gateway that can happen, in words. */
async function faults(api: Client, gateway: string): Promise<string> {
  const set = await read<Record<string, number>>(api, `${gateway}/faults`)
  const chances = Object.entries(set).filter(
    ([name, at]) => at > 0 && !/(_ms|_seconds|seed)$/.test(name),
  )
  if (chances.length === 0) return 'never, now'
  return chances
    .map(([name, at]) => `${printable(name)} ${Math.round(Number(at) * 100)} %`)
    .join(', ')
}
