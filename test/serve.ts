import type { TestContext } from 'node:test'
import { pino, type Logger } from 'pino'
import { loadConfig } from '../src/config/config.ts'
import type { Roles } from '../src/process/shared.ts'
import { startService, type Service } from '../src/process/start.ts'
import { cloneDatabase } from './databases.ts'
import { BUSY } from './process-kit.ts'

const ALL: Roles = { api: true, worker: true, mockGateway: true }

/** A service in this process, with real sockets and a real database; stopped when the test ends. */
export interface Served extends Service {
  readonly database: string
  /** Call the API: a path below `/api/v1`, a body sent as JSON. */
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Reply>
}

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // Whatever the service answered: the assertions say what it must be.
  readonly body: Record<string, unknown>
}

/** Of what is logged only a bug of the service is shown: a test may see just its 500. */
const UNEXPECTED = {
  write(line: string): void {
    if (line.includes('"unexpected failure"')) process.stderr.write(line)
  },
}

/** Start a service with these environment variables on a database of its own. */
export async function serve(
  t: TestContext,
  env: Readonly<Record<string, string>> = {},
  options: {
    readonly roles?: Roles
    readonly database?: string
    readonly port?: number
    readonly log?: Logger
  } = {},
): Promise<Served> {
  const database = options.database ?? (await cloneDatabase(t))
  const config = loadConfig({ LOG_LEVEL: 'silent', PORT: '0', ...BUSY, ...env })
  const log = options.log ?? pino({ level: 'error' }, UNEXPECTED)
  const service = await startService(config, options.roles ?? ALL, log, {
    url: database,
    port: options.port ?? 0,
  })
  t.after(() => service.stop())
  return {
    ...service,
    database,
    call: caller(service.url),
  }
}

function caller(url: string): Served['call'] {
  return async (method, path, body, headers = {}) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' }
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { ...json, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    const parsed: unknown = text === '' ? {} : JSON.parse(text)
    return {
      status: answer.status,
      headers: answer.headers,
      text,
      body: parsed as Record<string, unknown>,
    }
  }
}

/** How often a payment is asked about until it is as wanted; each answer may take a second. */
const ROUNDS_MAX = 2_000

/** Ask until a payment is shown as wanted. What is final is answered at once, so it is no race. */
export async function untilShown(
  { call }: Pick<Served, 'call'>,
  id: number,
  isWanted: (body: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const { body } = await call('GET', `/payments/${id}?wait=1`)
    if (isWanted(body)) return body
    // A turn for the others.
    await call('GET', '/ledger')
  }
  throw new Error(`payment ${id} is not shown so`)
}
