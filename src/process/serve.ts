import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { holderOf } from '../adapters/file-owner.ts'
import { keepYoung } from '../adapters/heap.ts'
import { logger } from '../adapters/log.ts'
import { closing, type Closing } from './closing.ts'
import { ConfigError } from '../config/config-error.ts'
import { loadConfig, readEnvironment, type Config } from '../config/config.ts'
import { hasAddress } from '../config/gateways.ts'
import { isLoopback } from '../http/host-and-origin.ts'
import { openDatabase, type DatabaseOptions } from './database.ts'
import { API, MOCK_GATEWAY } from '../http/paths.ts'
import { endInOrder } from './signals.ts'
import { PORTS, roleOf, UNDECORATED, usesDatabase, type Decorators, type Roles } from './shared.ts'

/** Run roles until a signal ends them. Throws, with everything closed, what prevents the start. */
export async function serve(roles: Roles, decorators = UNDECORATED): Promise<void> {
  const config = loadConfig(readEnvironment(process.cwd()))
  const log = logger(config, roleOf(roles))
  for (const warning of config.warnings) log.warn(warning)
  demandSettings(config, roles)
  const stops = closing()
  // From the first moment on, so that a signal during the start leaves no database server behind.
  const end = endInOrder(config, log, stops)
  try {
    await start(config, roles, {
      log,
      stops,
      decorators,
      lost: (error) => end.failed(error),
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

interface Surroundings {
  readonly log: Logger
  readonly stops: Closing
  readonly decorators: Decorators
  /** Told when the embedded database cannot be kept alive. */
  readonly lost: (error: Error) => void
  /** Tells the person at the terminal what is being done or waited for. */
  readonly tell: (line: string) => void
}

async function start(config: Config, roles: Roles, around: Surroundings): Promise<void> {
  const { log, stops, decorators } = around
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
    ...journal,
  })
  stops.push(() => service.stop())
  if (role === 'all') greet(config, service.url, dataDir)
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
      `The mock gateway of DATA_DIR ${dataDir} belongs to process ${holder}, which runs: set ` +
        `PAYMENT_GATEWAY_URL to that process (http://…${MOCK_GATEWAY}), or another DATA_DIR.`,
    )
  }
  say(`Using the mock gateway of process ${holder} at ${config.gatewayUrl}`)
  return false
}

/** Progress and links for the person at the terminal; events go to the log. */
function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function greet(config: Config, url: string, dataDir: string): void {
  const guarded = config.production || !isLoopback(config.host)
  const authorization = guarded ? " -H 'Authorization: Bearer pay_…'" : ''
  const keys = guarded
    ? '  API keys are asked for. Make one: payments keys create --name first\n\n'
    : ''
  const headers = `${authorization} -H 'Content-Type: application/json'`
  const create = `curl -X POST ${url}${API}/users/${headers} -d '{"balance": 1000}'`
  const mock = `${url}${MOCK_GATEWAY} (the built-in mock gateway)`
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
