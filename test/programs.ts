import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { killTree } from '../src/adapters/embedded-server.ts'
import { crashingArguments } from './faults/crash-points.ts'
import { BUSY, openFolder, remove, temporaryFolder, until } from './process-kit.ts'

/** The program as it is shipped; `npm test` builds it first. */
const PROGRAM = fileURLToPath(new URL('../dist/main.js', import.meta.url))

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
