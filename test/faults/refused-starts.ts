import { spawn } from 'node:child_process'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { once } from 'node:events'
import type { Variables } from './processes.ts'
import type { Scenario, Stage } from './scenario.ts'
import { query } from './sql.ts'
import { createDatabase } from './stack.ts'
import { check } from './witnesses.ts'

const ROLES = ['start', 'api', 'worker', 'mock-gateway'] as const
type Role = (typeof ROLES)[number]

const PORTS: Readonly<Record<Role, string>> = {
  start: 'PORT',
  api: 'PORT',
  worker: 'WORKER_PORT',
  'mock-gateway': 'MOCK_GATEWAY_PORT',
}
const FREE_PORTS = { PORT: '0', WORKER_PORT: '0', MOCK_GATEWAY_PORT: '0' }
/** An address of documentation (RFC 5737), which no machine has. */
const FOREIGN_HOST = '203.0.113.7'

/** From the call that fails to the end of the process. */
const END_MS_MAX = 2_000
/** And so many times what this machine needs for the shortest process there is. */
const YARDSTICKS = 3

/** What keeps a process from starting, and the setting that the sentence has to name. */
interface Case {
  readonly what: string
  readonly env: (role: Role) => Variables
  readonly names: (role: Role) => string
  readonly roles: readonly Role[]
}

/** Every role is kept from starting in every way: how it ends, and how soon after that call. */
export const REFUSED_STARTS: Scenario = {
  name: 'refused-starts',
  title: 'A taken port, a foreign host, an empty and an older schema, in every role',
  lane: 'alone',
  perSecond: 0,
  needs: { 'processes that could not start': 14 },
  stack: () => ({ apis: 1, workers: 1 }),
  async run(stage) {
    const { stack, add, expect } = stage
    await stack.ready()
    const blocker = createServer().listen(0, '127.0.0.1')
    await once(blocker, 'listening')
    const bad: string[] = []
    let [times, worst, yardstickMs] = [0, 0, 0]
    for (const one of await casesOf(stage, blocker)) {
      for (const role of one.roles) {
        yardstickMs = Math.max(yardstickMs, await shortestProcess())
        const { code, stderr, afterMs } = await refused(stage, role, one.env(role))
        times += 1
        worst = Math.max(worst, afterMs)
        const name = `${role}, ${one.what}`
        const sentences = stderr.trimEnd().split('\n')
        const named = sentences.length === 1 && stderr.includes(one.names(role))
        if (code !== 1 || !named) bad.push(`${name}: ${code} ${stderr.slice(0, 200)}`)
      }
    }
    blocker.close()
    add('processes that could not start', times)
    expect(check('Each ends with code 1 and one sentence that says what to do', bad, `${times}`))
    const slowest = `the slowest after ${Math.round(worst)} ms`
    const slow = worst > END_MS_MAX + YARDSTICKS * yardstickMs ? [slowest] : []
    const counted = `${slowest}; the shortest process took ${Math.round(yardstickMs)} ms`
    expect({
      ...check('Each ends within 2 s of the call that failed', slow, counted),
      chance: true,
    })
  },
}

/** All cases, with what they take. The embedded database of `start` is not asked for. */
async function casesOf({ stack }: Stage, blocker: Server): Promise<Case[]> {
  // A TCP server that listens has an address with a port.
  const port = String((blocker.address() as AddressInfo).port)
  const database = { DATABASE_URL: stack.databaseUrl }
  const empty = await createDatabase(stack.server, 'faults_refused_empty', null)
  const older = await createDatabase(stack.server, 'faults_refused_older')
  await query(
    older,
    'delete from schema_migrations where version = (select max(version) from schema_migrations)',
  )
  const demand = { AUTO_CREATE_TABLES: 'false' }
  const withDatabase = ROLES.filter((role) => role !== 'mock-gateway')
  return [
    {
      what: 'a taken port',
      env: (role) => ({ ...database, [PORTS[role]]: port }),
      names: (role) => `set ${PORTS[role]} to a free port`,
      roles: ROLES,
    },
    {
      what: 'a foreign host',
      env: () => ({ ...database, HOST: FOREIGN_HOST }),
      names: () => `HOST=${FOREIGN_HOST} is no address of this machine`,
      roles: ROLES,
    },
    {
      what: 'an empty schema',
      env: () => ({ ...demand, DATABASE_URL: empty }),
      names: () => 'Run `payments migrate` first',
      roles: withDatabase,
    },
    {
      what: 'an older schema',
      env: () => ({ ...demand, DATABASE_URL: older }),
      names: () => 'Run `payments migrate` first',
      roles: withDatabase,
    },
  ]
}

const MARK = 'the failing call'

/**
 * What the process runs before the program: it marks, on standard error, the moment at which a
 * port cannot be listened at, and each moment at which something came from another process. The
 * last mark is the answer to the call that fails.
 */
const MARKS = `
import { writeSync } from 'node:fs'
import { Server, Socket } from 'node:net'
const mark = () => writeSync(2, '${MARK}\\n')
for (const [kind, failing] of [[Server, 'error'], [Socket, 'data']]) {
  const emit = kind.prototype.emit
  kind.prototype.emit = function (event, ...args) {
    if (event === failing) mark()
    return emit.call(this, event, ...args)
  }
}`

/** How long the shortest process takes on this machine now, at most, in milliseconds. */
async function shortestProcess(): Promise<number> {
  const startedMs = performance.now()
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'close')
  return performance.now() - startedMs
}

async function refused({ program, folder }: Stage, role: Role, env: Variables) {
  const preload = `data:text/javascript,${encodeURIComponent(MARKS)}`
  const PAYMENT_GATEWAY_URL = 'http://127.0.0.1:9/mock-gateway'
  const gateway = role === 'mock-gateway' ? {} : { PAYMENT_GATEWAY_URL }
  const child = spawn(process.execPath, ['--import', preload, program, role], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', APP_ENV: 'test', ...FREE_PORTS, ...gateway, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  let [text, failedMs] = ['', performance.now()]
  child.stderr.on('data', (chunk: Buffer) => {
    if (chunk.includes(MARK)) failedMs = performance.now()
    text += chunk.toString()
  })
  await once(child, 'close')
  process.off('exit', kill)
  const stderr = text.replaceAll(`${MARK}\n`, '')
  return { code: child.exitCode, stderr, afterMs: performance.now() - failedMs }
}
