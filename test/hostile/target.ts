import pg from 'pg'
import { pino } from 'pino'
import { loadConfig } from '../../src/config/config.ts'
import { startService } from '../../src/process/start.ts'
import { open, type Connection, type Received, type Wire } from './wire.ts'
import { turnGateway } from '../../tools/client.ts'

/** The API's prefix. */
export const API = '/api/v1'

/** The real service in this process, with its worker and mock gateway, and a view of its tables. */
export interface Target {
  readonly url: string
  readonly port: number
  /** Send one request on a connection that is kept. */
  ask(request: Wire): Promise<Received>
  /** Send a JSON body, or none, and read a JSON answer. */
  json(method: string, path: string, body?: unknown): Promise<unknown>
  /** Set faults of its mock gateway. */
  turn(faults: Readonly<Record<string, number>>): Promise<void>
  /** Run SQL as the database's owner. */
  sql<Row extends pg.QueryResultRow>(text: string): Promise<Row[]>
  /** Rows by table, of every table. */
  rows(): Promise<Readonly<Record<string, number>>>
  /** Wait until no task and no redrive is left, so that the worker writes nothing any more. */
  quiet(): Promise<void>
  /** Log lines of level error: bugs that the service noticed itself. */
  readonly bugs: readonly string[]
  stop(): Promise<void>
}

/**
 * Written by the clock, not by requests: counters, the rows of counts that are folded into one, the
 * minutes and steps they are folded into, in which minutes payments were accepted, which is noted
 * after the payments themselves, and what is sent to endpoints, again and again over days where
 * nobody answers.
 */
const UNCOUNTED = `('counters', 'payment_counts', 'payment_series', 'payment_series_steps',
  'payment_minutes', 'deliveries', 'delivery_attempts')`
/**
 * Of a table that requests and the clock write, what requests have written: of the checks that they
 * start, of which the oldest go when one ends, the newest.
 */
const BY_REQUESTS: Readonly<Record<string, string>> = {
  verifications: "select coalesce(max(id), 0)::int from verifications where started_by <> 'worker'",
}
/** A quiet gateway settles everything within milliseconds; polls of 10 ms, five minutes in all. */
const QUIET_POLLS_MAX = 30_000

/** Start the service on a migrated database, with a gateway that never fails. */
export async function startTarget(
  databaseUrl: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Target> {
  const bugs: string[] = []
  const log = pino({ level: 'error' }, { write: (line: string) => bugs.push(line) })
  const config = loadConfig({
    DATABASE_URL: databaseUrl,
    MOCK_GATEWAY_SEED: '1',
    WORKER_POLL_INTERVAL_SECONDS: '0.05',
    // A machine that is busy with other things is no outage of its database.
    DATABASE_CONNECT_TIMEOUT_SECONDS: '60',
    DATABASE_STATEMENT_TIMEOUT_SECONDS: '60',
    ...settings,
  })
  const roles = { api: true, worker: true, mockGateway: true }
  const service = await startService(config, roles, log, { url: databaseUrl, port: 0 })
  const client = new pg.Client({ connectionString: databaseUrl })
  client.on('error', () => undefined)
  await client.connect()
  const port = Number(new URL(service.url).port)
  const target = targetOf(open(port), client, port)
  const turn: Target['turn'] = (faults) => turnGateway(`${service.url}${API}/mock-gateway`, faults)
  await turn(await calm(target))
  const stop = async () => {
    await target.stop()
    await service.stop()
  }
  return { ...target, url: service.url, bugs, turn, stop }
}

/** Every fault that is a chance, at 0. */
async function calm(target: { json: Target['json'] }): Promise<Record<string, number>> {
  // The documented answer: faults by name.
  const faults = (await target.json('GET', `${API}/mock-gateway/faults`)) as Record<string, number>
  const chances = Object.entries(faults).filter(([, position]) => position > 0 && position < 1)
  return Object.fromEntries(chances.map(([name]) => [name, 0]))
}

function targetOf(
  connection: Connection,
  client: pg.Client,
  port: number,
): Omit<Target, 'url' | 'bugs' | 'turn'> {
  const ask = async (request: Wire): Promise<Received> => {
    const answer = await connection.ask(request)
    if (answer === null) throw new Error(`no answer to ${request.method} ${request.path}`)
    return answer
  }
  const sql = async <Row extends pg.QueryResultRow>(text: string): Promise<Row[]> =>
    (await client.query<Row>(text)).rows
  return {
    port,
    ask,
    sql,
    async json(method, path, body) {
      const request = {
        method,
        path,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }
      const answer = await ask(request)
      if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.body}`)
      return answer.body === '' ? null : (JSON.parse(answer.body) as unknown)
    },
    rows: rowCounter(sql),
    async quiet() {
      for (let poll = 0; poll < QUIET_POLLS_MAX; poll += 1) {
        // A redrive run goes on by itself after it was accepted.
        const [row] = await sql<{ open: number }>(`
          select (select count(*) from payment_tasks)::int
            + (select count(*) from redrives where state = 'running')::int as open`)
        if (row?.open === 0) return
        await new Promise((resume) => setTimeout(resume, 10))
      }
      throw new Error('the worker never became quiet')
    },
    async stop() {
      connection.close()
      await client.end()
    },
  }
}

/** Counts exactly, all tables in one statement; which tables there are is asked once. */
function rowCounter(sql: Target['sql']): Target['rows'] {
  let text: string | null = null
  return async () => {
    if (text === null) {
      const tables = await sql<{ name: string }>(`
        select tablename as name
        from pg_tables
        where schemaname = 'public' and tablename not in ${UNCOUNTED}
        order by tablename`)
      const counts = tables.map(
        ({ name }) => `(${BY_REQUESTS[name] ?? `select count(*)::int from ${name}`}) as ${name}`,
      )
      text = `select ${counts.join(', ')}`
    }
    const [row] = await sql<Record<string, number>>(text)
    return row ?? {}
  }
}
