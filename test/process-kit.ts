import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { request, type OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { killTree } from '../src/adapters/embedded-server.ts'
import { crashingArguments } from './faults/crash-points.ts'

/** The program as it is shipped; `npm test` builds it first. */
const PROGRAM = fileURLToPath(new URL('../dist/main.js', import.meta.url))

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

type Variables = Readonly<Record<string, string>>

/** What a program that ended has left. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A process of the service that listens. */
export interface Running {
  readonly url: string
  stdout(): string
  /** Send a signal and wait for the end. */
  end(signal: NodeJS.Signals): Promise<Ended>
}

/** Run a tool of this repository, such as the demo, to its end. */
export async function runTool(
  t: TestContext,
  name: 'demo' | 'load',
  args: string[],
): Promise<Ended> {
  const main = fileURLToPath(new URL(`../tools/${name}/main.ts`, import.meta.url))
  const { ended } = await spawned(t, ['--import', import.meta.resolve('tsx'), main, ...args], {})
  return ended
}

/** Run a command to its end. It sees nothing of our environment but `env`. */
export async function run(t: TestContext, args: string[], env: Variables = {}): Promise<Ended> {
  const { ended } = await start(t, args, env)
  return ended
}

/** Start a role and wait until it listens, on any free port. Killed when the test ends. */
export function launch(t: TestContext, role: string, env: Variables = {}): Promise<Running> {
  return launched(t, role, [PROGRAM, role], env)
}

/** The same, of a role that dies at a crash point, `point:nth`. */
export function launchMortal(
  t: TestContext,
  role: string,
  armed: string,
  env: Variables,
): Promise<Running> {
  return launched(t, role, crashingArguments(PROGRAM, role, armed), env)
}

async function launched(
  t: TestContext,
  role: string,
  args: string[],
  env: Variables,
): Promise<Running> {
  const ports = { PORT: '0', WORKER_PORT: '0', MOCK_GATEWAY_PORT: '0' }
  const { child, output, ended } = await spawned(t, args, { ...ports, ...env })
  const url = await until(`${role} listens`, () => {
    if (hasEnded(child)) throw new Error(`${role} ended at its start:\n${output().join('\n')}`)
    return listening(output()[0])
  })
  return {
    url,
    stdout: () => output()[0],
    end(signal) {
      child.kill(signal)
      return ended
    },
  }
}

/** Start a command and return at once. Killed when the test ends. */
export function start(t: TestContext, args: string[], env: Variables) {
  return spawned(t, [PROGRAM, ...args], env)
}

async function spawned(t: TestContext, args: string[], env: Variables) {
  // An empty folder, so that no .env is found.
  const cwd = await temporaryFolder(t)
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, args, { cwd, env: { PATH, ...BUSY, ...env } })
  child.stdin.end()
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'close').then((): Ended => ({
    code: child.exitCode,
    signal: child.signalCode,
    stdout,
    stderr,
  }))
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { child, output: (): [string, string] => [stdout, stderr], ended }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** The address a process says it listens at: in the greeting of `start`, in the log of a role. */
export function listening(stdout: string): string | null {
  const greeting = /^ *API +(http\S+)\/api\/v1$/m.exec(stdout)
  const event = /^\{.*"url":"([^"]+)","msg":"listening"\}$/m.exec(stdout)
  return (greeting ?? event)?.[1] ?? null
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

async function openFolder(): Promise<string> {
  const folder = await fs.mkdtemp(join(await fs.realpath(TEMPORARY), 'payments-process-'))
  await fs.chmod(folder, 0o711)
  return folder
}

function remove(folder: string): Promise<void> {
  return fs.rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** A folder for an embedded database, whose server is ended with the test. */
export async function dataFolder(t: TestContext): Promise<string> {
  const folder = await openFolder()
  // In this order: a server without its folder is found by nobody.
  t.after(async () => {
    await powerCut(folder)
    await remove(folder)
  })
  return folder
}

/** Kill the database server of a data folder, as a power cut would. */
export async function powerCut(folder: string): Promise<void> {
  const file = await fs.readFile(join(folder, 'pg18', 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number(file.split('\n', 1)[0])
  if (pid > 0) killTree(pid)
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
