import * as fs from 'node:fs/promises'
import { request, type OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'

/** Deleted by the test script, even if this process is killed. */
const TEMPORARY = process.env['TEST_FOLDER'] ?? tmpdir()

/** How long anything here may take before the test fails: not a promise, but an end. */
const DEADLINE_MS = 300_000
const POLL_MS = 15

export const API = '/api/v1'
export const MOCK = `${API}/mock-gateway`

/** Short waits, so that what the tests wait for is the service and not its timers. */
export const FAST = {
  GATEWAY_BACKOFF_BASE_SECONDS: '0.05',
  GATEWAY_BACKOFF_JITTER_SECONDS: '0',
  WORKER_POLL_INTERVAL_SECONDS: '0.05',
}

/** A machine that is busy with other things is no outage of its database. */
export const BUSY = {
  DATABASE_CONNECT_TIMEOUT_SECONDS: '60',
  DATABASE_STATEMENT_TIMEOUT_SECONDS: '60',
  QUEUE_AGE_LIMIT_SECONDS: '600',
}

/** Look until there is something to see; neither null, undefined nor false. */
export async function until<Value>(
  what: string,
  look: () => Value | null | undefined | false | Promise<Value | null | undefined | false>,
): Promise<Value> {
  const untilMs = performance.now() + DEADLINE_MS
  for (;;) {
    const value = await look()
    if (value !== null && value !== undefined && value !== false) return value
    if (performance.now() > untilMs) throw new Error(`waited in vain until ${what}`)
    await wait(POLL_MS)
  }
}

/** A folder that is gone when the test ends. Root's database is another account's: it may pass. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await openFolder()
  t.after(() => remove(folder))
  return folder
}

/** A folder that nobody deletes but the test script. */
export async function openFolder(): Promise<string> {
  const folder = await fs.mkdtemp(join(await fs.realpath(TEMPORARY), 'payments-process-'))
  await fs.chmod(folder, 0o711)
  return folder
}

/** Delete a folder with all that is in it. */
export function remove(folder: string): Promise<void> {
  return fs.rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** An HTTP answer; `body` is read as JSON where it is some. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly json: Record<string, unknown>
}

/** Send bytes as they are, as no client library would. Headers may be repeated. */
export function send(
  url: string,
  method: string,
  body?: string | Buffer,
  headers: OutgoingHttpHeaders = { 'content-type': 'application/json' },
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const out = request(url, { method, headers: body === undefined ? {} : headers, agent: false })
    let answered = false
    out.on('response', (reply) => {
      answered = true
      const chunks: Buffer[] = []
      reply.on('data', (chunk: Buffer) => chunks.push(chunk))
      reply.on('error', reject)
      reply.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const { statusCode = 0, headers: fields } = reply
        resolve({ status: statusCode, headers: fields, text, json: parse(text) })
      })
    })
    // A server that refuses a body early may close while we still write.
    out.on('error', (error) => (answered ? undefined : reject(error)))
    out.end(body)
  })
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** POST an object as JSON. */
export function post(url: string, body: object, key?: string): Promise<Reply> {
  const headers = { 'content-type': 'application/json', ...(key && { 'idempotency-key': key }) }
  return send(url, 'POST', JSON.stringify(body), headers)
}

export async function get<Body>(url: string): Promise<Body> {
  const reply = await send(url, 'GET')
  if (reply.status !== 200) throw new Error(`GET ${url}: ${reply.status} ${reply.text}`)
  return reply.json as Body
}

/** Every chance of the mock gateway's defaults at 0. */
export const CALM = { timeout_before: 0, timeout_after: 0, error_before: 0, error_after: 0 }

/** Numbers from 1 to `count`. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}
