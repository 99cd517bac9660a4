import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { crashingArguments } from './crash-points.ts'

export type Role = 'api' | 'worker' | 'mock-gateway'

export type Variables = Readonly<Record<string, string>>

/** How a process ended, and whether that was our doing. */
export interface Death {
  readonly name: string
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The crash point it reached; null if it died elsewhere. */
  readonly crashPoint: string | null
  /** We killed it, armed it, or told it to stop and it did so in order. */
  readonly expected: boolean
  /** The last of what it said. */
  readonly output: string
}

/** A process of the service that is started again whenever it dies, at the same address. */
export interface Managed {
  readonly name: string
  readonly role: Role
  readonly url: string
  readonly alive: () => boolean
  /** The first log lines about failures that nothing was prepared for. */
  readonly surprises: readonly string[]
  /** What its log says of gateways that do not talk to us, and of those that do again. */
  readonly alerts: readonly string[]
  /** Wait until it listens. */
  ready(): Promise<void>
  /** Send SIGKILL. */
  kill(): void
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void
  /** SIGTERM; returns the exit code and how long it took. It is then started again. */
  restart(): Promise<{ readonly code: number | null; readonly tookMs: number }>
  /** SIGKILL, and never started again. */
  end(): Promise<void>
}

export interface ManagedOptions {
  readonly name: string
  readonly role: Role
  readonly program: string
  readonly cwd: string
  readonly env: Variables
  /** The crash point of the next start, as `point:nth`; null: none any more. */
  readonly arm: () => string | null
  /** What Node runs instead of the role as it is shipped. */
  readonly run?: readonly string[]
  readonly onDeath: (death: Death) => void
}

/** A start takes a second; on a machine that does much else, many. */
const START_MS_MAX = 120_000
const OUTPUT_KEPT = 6_000
const LAST_WORDS_KEPT = 500
const SURPRISES_KEPT = 3
const PORTS: Readonly<Record<Role, string>> = {
  api: 'PORT',
  worker: 'WORKER_PORT',
  'mock-gateway': 'MOCK_GATEWAY_PORT',
}

interface State {
  child: ChildProcess | null
  output: string
  /** The end of what the process before it said. */
  lastWords: string
  /** We have sent this process a signal that ends it. */
  told: boolean
  armed: boolean
  listening: boolean
  over: boolean
  readonly surprises: string[]
  readonly alerts: string[]
  /** The beginning of a line whose end has not come. */
  tail: string
}

/** What must not outlive us, however we end. */
const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

/** Start a process, and start it again whenever it ends, until `end`. */
export async function manage(options: ManagedOptions): Promise<Managed> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const state: State = {
    child: null,
    output: '',
    lastWords: '',
    told: false,
    armed: false,
    listening: false,
    over: false,
    surprises: [],
    alerts: [],
    tail: '',
  }
  launch(options, state, port)
  return {
    name: options.name,
    role: options.role,
    url,
    alive: () => state.listening,
    surprises: state.surprises,
    alerts: state.alerts,
    ready: () => untilListening(options.name, state),
    kill() {
      state.told = true
      state.listening = false
      state.child?.kill('SIGKILL')
    },
    signal: (signal) => void state.child?.kill(signal),
    async restart() {
      const { child } = state
      const startedMs = performance.now()
      if (child === null) return { code: null, tookMs: 0 }
      state.told = true
      state.listening = false
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      return { code: child.exitCode, tookMs: performance.now() - startedMs }
    },
    async end() {
      state.over = true
      state.told = true
      const { child } = state
      if (child === null || child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGCONT')
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

function launch(options: ManagedOptions, state: State, port: number): void {
  const point = options.arm()
  const env = {
    PATH: process.env['PATH'] ?? '',
    ...options.env,
    [PORTS[options.role]]: String(port),
  }
  const { program, role, run = [program, role] } = options
  const args = point === null ? run : crashingArguments(program, role, point)
  const child = spawn(process.execPath, args, {
    cwd: options.cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  alive.add(child)
  Object.assign(state, {
    child,
    output: '',
    tail: '',
    told: false,
    armed: point !== null,
    listening: false,
  })
  const take = (chunk: Buffer): void => {
    const text = chunk.toString()
    state.output = (state.output + text).slice(-OUTPUT_KEPT)
    const lines = (state.tail + text).split('\n')
    state.tail = lines.pop() ?? ''
    for (const line of lines) hear(state, line)
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  // `close` and not `exit`: the last words are read by then.
  child.once('close', (code, signal) => {
    alive.delete(child)
    state.listening = false
    const crashPoint = /^crash point (\S+)$/m.exec(state.output)?.[1] ?? null
    const expected = (state.told && (signal === 'SIGKILL' || code === 0)) || crashPoint !== null
    const { output } = state
    state.lastWords = output.slice(-LAST_WORDS_KEPT)
    options.onDeath({ name: options.name, code, signal, crashPoint, expected, output })
    if (!state.over) launch(options, state, port)
  })
}

/** Run a command of the program to its end. */
export async function runCommand(
  [program = '', ...args]: readonly string[],
  cwd: string,
  env: Variables,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  alive.add(child)
  const [stdout, stderr] = await Promise.all([
    child.stdout.toArray(),
    child.stderr.toArray(),
    child.exitCode ?? once(child, 'close'),
  ])
  alive.delete(child)
  const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString()
  return { code: child.exitCode, stdout: text(stdout), stderr: text(stderr) }
}

/** What a whole line of a log tells. */
function hear(state: State, line: string): void {
  if (line.includes('"msg":"listening"')) state.listening = true
  if (/does not talk to us|talks to us again/.test(line)) state.alerts.push(line)
  const surprise = line.includes('unexpected failure')
  if (surprise && state.surprises.length < SURPRISES_KEPT) state.surprises.push(line)
}

async function untilListening(name: string, state: State): Promise<void> {
  const untilMs = performance.now() + START_MS_MAX
  while (!state.listening) {
    const refused = state.lastWords.startsWith('The configuration has')
    if (refused || performance.now() > untilMs) {
      throw new Error(`${name} does not listen:\n${state.lastWords}${state.output}`)
    }
    await wait(20)
  }
}

/**
 * Below the ports that systems give to outgoing connections: a process that restarts must find its
 * port free, and one of those may have been taken by a client meanwhile.
 */
const PORT_MIN = 21_000
const PORTS_TRIED = 9_000
let nextPort = PORT_MIN + (process.pid % PORTS_TRIED)

/** Free now, and not handed out again by this process until it has gone round all of them. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < PORTS_TRIED; tried += 1) {
    nextPort = PORT_MIN + ((nextPort + 1 - PORT_MIN) % PORTS_TRIED)
    const port = nextPort
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    server.close()
    await once(server, 'close')
    return port
  }
  throw new Error('no port is free')
}
