import cluster from 'node:cluster'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { systemClock } from '../adapters/clock.ts'
import { holderOf } from '../adapters/file-owner.ts'
import { keepYoung } from '../adapters/heap.ts'
import { logger } from '../adapters/log.ts'
import { closing, type Closing } from './closing.ts'
import { ConfigError } from '../config/config-error.ts'
import { loadConfig, readEnvironment, type Config } from '../config/config.ts'
import { hasAddress } from '../config/gateways.ts'
import { isLoopback } from '../http/host-and-origin.ts'
import { memberOf, type Member } from './member.ts'
import { openDatabase, type DatabaseOptions } from './database.ts'
import { API, MOCK_GATEWAY } from '../http/paths.ts'
import { endInOrder } from './signals.ts'
import { memberStopMsMax, stopMsMaxOf } from './stop-times.ts'
import { PORTS, roleOf, UNDECORATED, usesDatabase, type Decorators, type Roles } from './shared.ts'

/**
 * Run roles until a signal ends them, in this process or in several that share a port. Throws, with
 * everything closed, what prevents the start.
 */
export async function serve(
  given: Roles,
  { decorators = UNDECORATED, processes = 1 }: ServeOptions = {},
): Promise<void> {
  const member = memberOf()
  // What there is once, the one that holds them together has.
  const roles = member === null ? given : { ...given, mockGateway: false }
  const config = loadConfig(readEnvironment(process.cwd()))
  const log = logger(config, roleOf(roles))
  if (member === null) for (const warning of config.warnings) log.warn(warning)
  demandSettings(config, roles)
  const stops = closing()
  // From the first moment on, so that a signal during the start leaves no database server behind.
  const grouped = member === null && processes > 1
  const end = endInOrder(stopMsMaxOf(config, grouped), log, stops)
  member?.onStop(() => end.asked())
  const run = grouped ? startGroup : start
  try {
    await run(config, roles, {
      processes,
      member,
      log,
      stops,
      decorators,
      lost: (error) => end.failed(error),
      failed: (code) => end.with(code),
      // What a start does while it is being stopped is of no interest.
      tell: (line) => (end.begun() ? undefined : say(line)),
    })
  } catch (error) {
    // Whoever stops the process closes it, and what breaks in a start by that is told to nobody.
    if (end.begun()) return await new Promise(() => undefined)
    await stops.close().catch((also: unknown) => log.warn({ err: also }, 'closing failed'))
    throw error
  }
}

interface ServeOptions {
  readonly decorators?: Decorators
  /** How many processes share the port. */
  readonly processes?: number
}

interface Surroundings {
  readonly processes: number
  /** This process, where it shares its port with others. */
  readonly member: Member | null
  readonly log: Logger
  readonly stops: Closing
  readonly decorators: Decorators
  /** Told when the embedded database cannot be kept alive. */
  readonly lost: (error: Error) => void
  /** End with this code: whoever failed has said why. */
  readonly failed: (code: number) => void
  /** Tells the person at the terminal what is being done or waited for. */
  readonly tell: (line: string) => void
}

/**
 * Start the processes that share the port, and beside them what there is once: the embedded
 * database and the mock gateway.
 */
async function startGroup(config: Config, roles: Roles, around: Surroundings): Promise<void> {
  const { log, stops, lost, processes } = around
  const all = roleOf(roles) === 'all'
  const dataDir = resolve(config.dataDir)
  const env: Record<string, string> = {}
  if (all) {
    const url = await openDatabase(config, databaseOptions(config, around))
    // Where it is a setting, each reads it anew.
    if (config.databaseUrl === null) env['DATABASE_URL'] = url
  }
  if (all && roles.mockGateway && opensMock(config, dataDir)) {
    const { startService } = await import('./start.ts')
    const only = { api: false, worker: false, mockGateway: true }
    const mock = await startService(config, only, log, {
      url: '',
      port: config.mockGatewayPort,
      journalPath: openJournal(dataDir),
    })
    stops.push(() => mock.stop())
    env['PAYMENT_GATEWAY_URL'] = mock.url + MOCK_GATEWAY
  }
  // Each takes connections from the system itself. Handed over by this process, one that is on its
  // way to a process which dies would be answered by nobody.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  const { openGroup } = await import('./supervisor.ts')
  const group = openGroup({
    count: processes,
    fork: () => cluster.fork(env),
    log,
    clock: systemClock,
    stopMsMax: memberStopMsMax(config),
    onLost: lost,
  })
  stops.push(() => group.stop())
  // Whatever ends this process: none that is stuck stays behind with the port.
  process.once('exit', () => group.kill())
  let started = false
  process.on('SIGHUP', () => (started ? void group.restart() : undefined))
  const first = await group.start()
  // It has said why.
  if ('code' in first) return around.failed(first.code)
  started = true
  if (all) greet(config, first.url, { dataDir, mock: env['PAYMENT_GATEWAY_URL'] ?? null })
  else log.info({ url: first.url, processes }, 'listening')
}

async function start(config: Config, roles: Roles, around: Surroundings): Promise<void> {
  const { log, stops, decorators, member } = around
  const role = roleOf(roles)
  const dataDir = resolve(config.dataDir)
  // Also where PAYMENT_GATEWAY_URL names the mock gateway, as the original's example settings do.
  const mockGateway = roles.mockGateway && (role !== 'all' || opensMock(config, dataDir))
  const url = usesDatabase(roles) ? await openDatabase(config, databaseOptions(config, around)) : ''
  const journal = mockGateway && role === 'all' ? { journalPath: openJournal(dataDir) } : {}
  const port = config[PORTS[role].field]
  keepYoung()
  // Loaded only now, with the HTTP server and all features: what prevents a start is said sooner.
  const { startService } = await import('./start.ts')
  const service = await startService(config, { ...roles, mockGateway }, log, {
    url,
    port,
    decorators,
    member,
    ...journal,
  })
  stops.push(() => service.stop())
  if (member !== null) return member.ready(service.url)
  const mock = service.url + MOCK_GATEWAY
  if (role === 'all')
    greet(config, service.url, { dataDir, mock: `${mock} (the built-in mock gateway)` })
  else log.info({ url: service.url }, 'listening')
}

function databaseOptions(config: Config, { stops, lost, tell }: Surroundings): DatabaseOptions {
  const schema = config.autoCreateTables ? 'bring' : 'demand'
  return { stops, say: tell, schema, embedded: 'made', onLost: lost }
}

/** What a single role cannot do without; `payments start` brings its own. Throws `ConfigError`. */
function demandSettings(config: Config, roles: Roles): void {
  if (roleOf(roles) === 'all') return
  const problems: string[] = []
  if (usesDatabase(roles) && config.databaseUrl === null) {
    problems.push('DATABASE_URL must be set for a single role; `payments start` brings its own')
  }
  if (roles.worker && !config.gateways.every(hasAddress)) {
    problems.push('PAYMENT_GATEWAY_URL must be set: a worker alone has no gateway of its own')
  }
  if (roles.mockGateway && !config.mockGateway) {
    problems.push(
      'PAYMENT_GATEWAY_URL must be unset for a mock gateway alone: none runs beside a real one',
    )
  }
  if (problems.length > 0) throw new ConfigError(problems)
}

function journalPath(dataDir: string): string {
  return join(dataDir, 'mock-gateway.jsonl')
}

/** Make room for the journal of the mock gateway. */
function openJournal(dataDir: string): string {
  mkdirSync(dataDir, { recursive: true })
  return journalPath(dataDir)
}

/**
 * Whether `payments start` opens a mock gateway: not beside a real gateway, and not on a journal
 * that another process owns. Then the other's is used where PAYMENT_GATEWAY_URL names it; without
 * that, throws what to set.
 */
function opensMock(config: Config, dataDir: string): boolean {
  if (!config.mockGateway) return false
  const holder = holderOf(journalPath(dataDir))
  if (holder === null) return true
  if (config.gatewayUrl === null) {
    throw new Error(
      `Process ${holder} already runs on DATA_DIR ${dataDir} and has its mock gateway: stop it, ` +
        'or set another DATA_DIR. To run beside it, set PAYMENT_GATEWAY_URL to its ' +
        `http://…${MOCK_GATEWAY} and PORT to a free port.`,
    )
  }
  say(`Using the mock gateway of process ${holder} at ${config.gatewayUrl}`)
  return false
}

/** Progress and links for the person at the terminal; events go to the log. */
function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function greet(
  config: Config,
  url: string,
  { dataDir, mock }: { readonly dataDir: string; readonly mock: string | null },
): void {
  const guarded = config.production || !isLoopback(config.host)
  const authorization = guarded ? " -H 'Authorization: Bearer pay_…'" : ''
  const keys = guarded
    ? '  API keys are asked for. Make one: node dist/main.js keys create --name first\n\n'
    : ''
  const headers = `${authorization} -H 'Content-Type: application/json'`
  const create = `curl -X POST ${url}${API}/users/${headers} -d '{"balance": 1000}'`
  const gateways = config.gateways.map(({ settings }) => settings.url ?? mock).join(', ')
  const pages = config.console === 'on' ? `    Console    ${url}/console\n` : ''
  say(`
  ${config.appName} is ready

${pages}    API        ${url}${API}
    Docs       ${url}/docs
    Metrics    ${url}/metrics
    Gateway    ${gateways}
    Database   ${config.databaseUrl === null ? `embedded PostgreSQL in ${dataDir}` : 'DATABASE_URL'}

${keys}  Try it:

    ${create}

  Ctrl-C stops it; the data stays.
`)
}
