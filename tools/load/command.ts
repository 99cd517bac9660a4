import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { InvalidArgumentError, type Command } from 'commander'
import { systemClock } from '../../src/adapters/clock.ts'
import { progress } from '../../src/adapters/terminal.ts'
import { client, describe, paymentBody, type Client } from '../client.ts'
import { htmlReport } from './html.ts'
import { startLoader } from './loader.ts'
import type { LoadResult, Plan, Traffic } from './plan.ts'
import { textReport, type Measure, type Report } from './report.ts'

interface Options {
  readonly connections: string
  readonly duration: string
  readonly rate?: string
  readonly users: string
  readonly items: string
  readonly idempotent?: boolean
  readonly key?: string
  readonly yes?: boolean
  readonly json?: boolean
  readonly html?: string
}

/** What is measured: accepting one payment a request, a batch a request, or reading payments. */
const KINDS = ['accept', 'bulk', 'read'] as const
type Kind = (typeof KINDS)[number]

/** Enough that no user runs out of money, within what the API takes. */
const BALANCE = 1_000_000_000
const WARMUP_MS = 1_000

/** `npm run load -- <url>`: put load on a running service and report what it does. */
export function loadCommand(program: Command): Command {
  return program
    .description(
      'Measure a running service. Opens users and makes payments there, so it asks for --yes ' +
        'unless the service is on this machine.',
    )
    .argument('<url>', 'where the service is, such as http://127.0.0.1:8000', parseUrl)
    .argument('[kind]', `what to measure: ${KINDS.join(', ')}`, 'accept')
    .option('--connections <number>', 'connections', '128')
    .option('--duration <seconds>', 'how long', '10')
    .option('--rate <per second>', 'open loop: so many requests a second, whatever the answers do')
    .option('--users <number>', 'users to open and to spread the payments over', '100')
    .option('--items <number>', 'payments of a batch', '1000')
    .option('--idempotent', 'send an Idempotency-Key with each payment')
    .option('--key <key>', 'API key')
    .option('--yes', 'make payments in a service that is not on this machine')
    .option('--json', 'print JSON')
    .option('--html <file>', 'write a page with charts')
    .action(load)
}

function parseUrl(text: string): URL {
  if (URL.canParse(text)) return new URL(text)
  throw new InvalidArgumentError('It is not a URL.')
}

async function load(url: URL, given: string, options: Options): Promise<void> {
  const kind = KINDS.find((one) => one === given)
  if (kind === undefined) throw new Error(`there is nothing called ${given} to measure`)
  if (url.protocol !== 'http:') throw new Error('only http is measured: go around the proxy')
  const local = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname)
  if (!local && options.yes !== true) {
    throw new Error(`This makes payments in ${url.host}. Say --yes if that is meant.`)
  }
  const startedAt = systemClock.now().toISOString()
  const key = options.key ?? null
  const api = client(url.origin, { connections: 1, key, clock: systemClock })
  const traffic = await trafficOf(kind, api, options).finally(() => api.close())
  const loader = startLoader()
  try {
    const plan = planOf(url, options, traffic)
    const bar = progress(`${kind}, ${plan.connections} connections`, 0)
    const result = await loader.run(plan, (count) => bar.tick(count))
    bar.done(`${Math.round(result.perSecond).toLocaleString('en-US')}/s`)
    print(reportOf({ startedAt, url, kind, plan }, result), options)
    // Refusals and broken connections are the service's own trouble, and worth a code.
    if (result.done === 0) process.exitCode = 1
  } finally {
    loader.stop()
  }
}

function planOf(url: URL, options: Options, traffic: Traffic): Plan {
  const { key } = options
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 80),
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    connections: whole('connections', options.connections, 1, 10_000),
    ratePerSecond:
      options.rate === undefined ? 'closed' : whole('rate', options.rate, 1, 1_000_000),
    warmupMs: WARMUP_MS,
    durationMs: whole('duration', options.duration, 1, 86_400) * 1_000,
    traffic,
    // Other requests, and other keys, each time.
    seed: systemClock.now().getTime() % 0xffff_ffff,
  }
}

type Users = Extract<Traffic, { kind: 'accept' }>['users']

async function trafficOf(kind: Kind, api: Client, options: Options): Promise<Traffic> {
  const users = await openUsers(api, whole('users', options.users, 1, 100_000))
  if (kind === 'accept') return { kind, users, keys: options.idempotent ?? false }
  if (kind === 'bulk') return { kind, users, items: whole('items', options.items, 1, 1_000) }
  const made = await post(api, 'payments/deposit', paymentBody('deposit', users.first, 1))
  return { kind, payments: { first: Number(made.payment_id), count: 1 } }
}

/**
 * Users are opened one after the other, so that their ids are a run unless others open some too.
 */
async function openUsers(api: Client, count: number): Promise<Users> {
  const bar = progress('users', count)
  const ids: number[] = []
  for (let opened = 0; opened < count; opened += 1) {
    ids.push(Number((await post(api, 'users/', { balance: BALANCE })).id))
    bar.tick(1)
  }
  bar.done()
  const first = ids[0] ?? Number.NaN
  // Somebody else opened users meanwhile: only the run at the beginning is ours for sure.
  const broken = ids.findIndex((id, index) => id !== first + index)
  return { first, count: broken < 0 ? count : broken }
}

async function post(api: Client, path: string, body: object): Promise<Record<string, unknown>> {
  const reply = await api.post(`/api/v1/${path}`, body)
  if (reply.status < 300) return reply.body as Record<string, unknown> // An object of the API.
  throw new Error(`${path} answered ${describe(reply)}`)
}

/** What was asked for. */
interface Asked {
  readonly startedAt: string
  readonly url: URL
  readonly kind: Kind
  readonly plan: Plan
}

function reportOf({ startedAt, url, kind, plan }: Asked, result: LoadResult): Report {
  const { perSecond, latency, buckets, seconds } = result
  const name = `${kind}, ${plan.connections} connections`
  const measured = { latency, buckets, seconds, perSecond, cores: { generator: result.cpu } }
  const measure: Measure = {
    name,
    system: 'ours',
    unit: '/s',
    runs: [perSecond],
    median: perSecond,
    ...measured,
  }
  const statuses = Object.entries(result.statuses).map(([status, count]) => `${count} x ${status}`)
  const facts = [
    `Answers: ${statuses.join(', ') || 'none'}; broken connections: ${result.faults}.`,
    ...(plan.ratePerSecond === 'closed'
      ? []
      : [
          `Open loop at ${plan.ratePerSecond}/s; sent at most ${result.lateMs.toFixed(1)} ms late (p99).`,
        ]),
  ]
  const scenario = { name: kind, title: `Load on ${url.host}`, measures: [measure], facts }
  return {
    title: 'Payments load test',
    startedAt,
    commit: 'running service',
    quick: false,
    machine: { generator: `${process.platform}, ${cpus().length} cores`, service: url.origin },
    scenarios: [{ ...scenario, books: null, tookSeconds: plan.durationMs / 1_000 }],
    bars: [],
  }
}

function print(report: Report, options: Options): void {
  process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : textReport(report))
  if (options.html !== undefined) writeFileSync(options.html, htmlReport(report))
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new Error(`--${name} must be a whole number from ${min} to ${max}`)
}
