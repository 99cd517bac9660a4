import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import type { Logger } from 'pino'
import { systemClock } from './adapters/clock.ts'
import { startEmbeddedPostgres } from './adapters/embedded-postgres.ts'
import { logger } from './adapters/log.ts'
import { migrate, migrationStatus } from './adapters/migrate.ts'
import { redriveCommand } from './dead-letters/command.ts'
import { demoCommand } from './demo/command.ts'
import { verifyCommand } from './verify/command.ts'
import { benchCommand } from './bench/command.ts'
import { ConfigError, loadConfig, readEnvironment, type Config } from './config.ts'
import { printableLines } from './domain/printable.ts'
import { isLoopback } from './http/site.ts'
import { keysCommand } from './keys/command.ts'
import { API, connect, type Roles } from './roles/process.ts'
import { startService, type Service } from './service.ts'

/** Exit codes: what was asked could not be done; the configuration or the call is wrong. */
const FAILED = 1
const MISUSED = 2

/** The roles that may bring their own database. */
const EMBEDDED: Roles = { api: true, worker: true, mockGateway: false }

const program = new Command('payments')
  .description('Payment processing with commission, a durable queue and a double-entry ledger.')
  .version('0.1.0')
  .showHelpAfterError()

program
  .command('start', { isDefault: true })
  .description(
    'Run everything in one process: API, worker, and where they are not configured an embedded ' +
      'PostgreSQL and the mock gateway.',
  )
  .action(() => serve({ api: true, worker: true, mockGateway: true }))
program
  .command('api')
  .description('Run the HTTP API alone. Needs DATABASE_URL.')
  .action(() => serve({ api: true, worker: false, mockGateway: false }))
program
  .command('worker')
  .description('Run a worker alone. Needs DATABASE_URL and PAYMENT_GATEWAY_URL.')
  .action(() => serve({ api: false, worker: true, mockGateway: false }))
program
  .command('mock-gateway')
  .description('Run the mock gateway alone.')
  .action(() => serve({ api: false, worker: false, mockGateway: true }))
program
  .command('migrate')
  .description('Bring the database to the newest schema.')
  .option('--dry-run', 'say what would be applied and change nothing')
  .option('--status', 'list the migrations and when they were applied')
  .option('--json', 'print JSON')
  .action(runMigrate)

keysCommand(program, openTool)
verifyCommand(program, () => openTool(true))
redriveCommand(program, openTool)
demoCommand(program)
benchCommand(program)

program.parseAsync().catch((error: unknown) => {
  const text = error instanceof Error ? error.message : String(error)
  process.stderr.write(`${printableLines(text)}\n`)
  process.exitCode = error instanceof ConfigError ? MISUSED : FAILED
})

/** Run roles until a signal ends them. */
async function serve(roles: Roles): Promise<void> {
  const config = loadConfig(readEnvironment(process.cwd()))
  const one = roles.api && roles.worker
  const log = logger(
    config,
    one ? 'all' : roles.api ? 'api' : roles.worker ? 'worker' : 'mock-gateway',
  )
  for (const warning of config.warnings) log.warn(warning)

  demandSettings(config, roles)
  // From the first moment on, so that a signal during the start leaves no database server behind.
  const stopper = stopOnSignal(config, log)
  const opening = openDatabase(config, roles, say)
  stopper.last = async () => (await opening)?.stop()
  const database = await opening
  try {
    if (database !== null && config.autoCreateTables) {
      await migrate(database.url, { log: (line) => log.debug(line) })
    }
    // Also where PAYMENT_GATEWAY_URL names the mock gateway, as the original's example settings do.
    const mock = roles.mockGateway && (config.mockGateway || !one)
    const dataDir = resolve(config.dataDir)
    if (mock && one) mkdirSync(dataDir, { recursive: true })
    const service = await startService(config, { ...roles, mockGateway: mock }, log, {
      url: database?.url ?? '',
      port: roles.api ? config.port : roles.worker ? config.workerPort : config.mockGatewayPort,
      ...(mock && one ? { journalPath: join(dataDir, 'mock-gateway.jsonl') } : {}),
    })
    stopper.first = () => service.stop()
    if (one) greet(config, service, dataDir)
    else log.info({ url: service.url }, 'listening')
  } catch (error) {
    await stopper.last()
    throw error
  }
}

/** What a single role cannot do without; `payments start` brings its own. Throws `ConfigError`. */
function demandSettings(config: Config, roles: Roles): void {
  const problems: string[] = []
  const one = roles.api && roles.worker
  if ((roles.api || roles.worker) && !one && config.databaseUrl === null) {
    problems.push('DATABASE_URL must be set for a single role; `payments start` brings its own')
  }
  if (roles.worker && !one && config.gatewayUrl === null) {
    problems.push('PAYMENT_GATEWAY_URL must be set: a worker alone has no gateway of its own')
  }
  if (roles.mockGateway && !one && !config.mockGateway) {
    problems.push(
      'PAYMENT_GATEWAY_URL must be unset for a mock gateway alone: none runs beside a real one',
    )
  }
  if (problems.length > 0) throw new ConfigError(problems)
}

interface Database {
  readonly url: string
  stop(): Promise<void>
}

async function openDatabase(
  config: Config,
  roles: Roles,
  say: (line: string) => void,
): Promise<Database | null> {
  if (config.databaseUrl !== null) return { url: config.databaseUrl, stop: async () => undefined }
  if (!roles.api && !roles.worker) return null
  return startEmbeddedPostgres({ dataDir: resolve(config.dataDir), log: say })
}

/** Progress and links for the person at the terminal; events go to the log. */
function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function greet(config: Config, service: Service, dataDir: string): void {
  const { url } = service
  const guarded = config.production || !isLoopback(config.host)
  const authorization = guarded ? " -H 'Authorization: Bearer pay_…'" : ''
  const keys = guarded
    ? '  API keys are asked for. Make one: payments keys create --name first\n\n'
    : ''
  const gateway = config.gatewayUrl ?? `${url}${API}/mock-gateway (the built-in mock gateway)`
  say(`
  ${config.appName} is ready

    API        ${url}${API}
    Docs       ${url}/docs
    Metrics    ${url}/metrics
    Gateway    ${gateway}
    Database   ${config.databaseUrl === null ? `embedded PostgreSQL in ${dataDir}` : 'DATABASE_URL'}

${keys}  Try it:

    curl -X POST ${url}${API}/users/${authorization} -H 'Content-Type: application/json' -d '{"balance": 1000}'

  Ctrl-C stops it; the data stays.
`)
}

/** What a signal stops: the service first, its own database last. */
interface Stopper {
  first: () => Promise<void>
  last: () => Promise<void>
}

/**
 * Stop in order on the first SIGTERM or SIGINT, at once on the second. A stop that takes longer than
 * its limit ends the process anyway: leases run out, and nothing that was answered is lost.
 */
function stopOnSignal(config: Config, log: Logger): Stopper {
  const nothing = () => Promise.resolve()
  const stopper: Stopper = { first: nothing, last: nothing }
  let stopping = false
  const stop = async (signal: string) => {
    if (stopping) process.exit(FAILED)
    stopping = true
    log.info({ signal }, 'stopping: work in flight ends first; a second signal stops at once')
    const limit = setTimeout(() => {
      log.error('stopping took too long')
      process.exit(FAILED)
    }, config.shutdownTimeoutMs)
    limit.unref()
    try {
      await stopper.first()
      await stopper.last()
      log.info('stopped')
      process.exit(0)
    } catch (error) {
      log.error({ err: error }, 'stopping failed')
      process.exit(FAILED)
    }
  }
  process.on('SIGTERM', () => void stop('SIGTERM'))
  process.on('SIGINT', () => void stop('SIGINT'))
  return stopper
}

/** A tool's connection: DATABASE_URL, or the embedded database of DATA_DIR, migrated. */
async function openTool(quiet: boolean) {
  const config = loadConfig(readEnvironment(process.cwd()))
  const database = await openDatabase(config, EMBEDDED, quiet ? () => undefined : say)
  if (database === null) throw new Error('there is no database')
  if (config.autoCreateTables) await migrate(database.url)
  const db = connect(config, database.url, 'payments tool')
  const close = async () => {
    await db.close()
    await database.stop()
  }
  const { shards, gatewayUrl } = config
  return { db, clock: systemClock, shards, gatewayUrl, close }
}

async function runMigrate(options: {
  dryRun?: boolean
  status?: boolean
  json?: boolean
}): Promise<void> {
  const config = loadConfig(readEnvironment(process.cwd()))
  const database = await openDatabase(config, EMBEDDED, options.json ? () => undefined : say)
  if (database === null) return
  try {
    if (options.status) return printStatus(await migrationStatus(database.url), options.json)
    const log = options.json ? () => undefined : say
    const result = await migrate(database.url, { log, dryRun: options.dryRun ?? false })
    if (options.json) say(JSON.stringify(result))
    else
      say(
        result.applied.length === 0
          ? `Up to date at ${result.current}.`
          : `Now at ${result.current}.`,
      )
  } finally {
    await database.stop()
  }
}

function printStatus(
  migrations: readonly { readonly name: string; readonly appliedAt: Date | null }[],
  json: boolean | undefined,
): void {
  if (json) return say(JSON.stringify(migrations))
  for (const { name, appliedAt } of migrations) {
    say(`${appliedAt === null ? 'pending                 ' : appliedAt.toISOString()}  ${name}`)
  }
}
