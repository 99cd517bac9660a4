import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { postgres } from '../../src/adapters/postgres.ts'
import { newKey } from '../../src/domain/api-key.ts'
import { insertKey } from '../../src/keys/store.ts'

/** An API process that asks for keys, under a limit of open files. */
export interface Victim {
  readonly port: number
  /** Credentials of a client that may read and write. */
  readonly authorization: string
  /** Resident memory in bytes, and open files. Linux only. */
  usage(): { readonly memory: number; readonly files: number }
  /** Processor time so far, in seconds. Linux only. */
  worked(): number
  log(): string
  stop(): Promise<void>
}

const FILES_MAX = 1_024
const TICKS_PER_SECOND = 100
const START_MS_MAX = 120_000
/** How it says where: the log of an API alone, the page of a whole service. */
const LISTENS = /(?:"url":"http:\/\/[^"]*|API +http:\/\/[^/]*):(\d+)/

/** Start it on a database; `program` is the built service. `role` is what it is; an API alone. */
export async function startVictim(
  program: string,
  databaseUrl: string,
  cwd: string,
  { role = 'api', ...settings }: Readonly<Record<string, string>> = {},
): Promise<Victim> {
  const { PATH = '' } = process.env
  const env = {
    PATH,
    DATABASE_URL: databaseUrl,
    HOST: '0.0.0.0',
    PORT: '0',
    LOG_LEVEL: 'info',
    LOG_FORMAT: 'json',
    // No worker takes what is accepted.
    QUEUE_AGE_LIMIT_SECONDS: '0',
    ...settings,
  }
  const limited = `ulimit -n ${FILES_MAX} && exec "$0" "$@"`
  const child = spawn('sh', ['-c', limited, process.execPath, program, role], { cwd, env })
  let text = ''
  const take = (chunk: Buffer) => void (text = (text + chunk.toString()).slice(-200_000))
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const untilMs = performance.now() + START_MS_MAX
  while (!LISTENS.test(text)) {
    if (child.exitCode !== null || performance.now() > untilMs) throw new Error(text)
    await wait(50)
  }
  const port = Number(LISTENS.exec(text)?.[1])
  const { pid = 0 } = child
  return {
    port,
    authorization: await makeKey(databaseUrl),
    usage: () => ({
      memory:
        Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024,
      files: readdirSync(`/proc/${pid}/fd`).length,
    }),
    worked() {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
    },
    log: () => text,
    async stop() {
      process.off('exit', kill)
      child.kill('SIGTERM')
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

async function makeKey(url: string): Promise<string> {
  const timeouts = { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000, lockTimeoutMs: 5_000 }
  const db = postgres({
    url,
    currency: 'USD',
    shards: 1,
    poolMax: 1,
    name: 'keys',
    idleTransactionTimeoutMs: 5_000,
    ...timeouts,
  })
  try {
    const key = newKey(randomBytes)
    await insertKey(db.global, key, 'client', ['read', 'write'])
    return `Bearer ${key.token}`
  } finally {
    await db.close()
  }
}

/** What a client with a key has seen. */
export interface Witness {
  /** Milliseconds of every answer since the last `take`. */
  take(): number[]
  /** Answers other than 2xx, and connections that failed. */
  readonly refusals: readonly string[]
  stop(): Promise<void>
}

const PAUSE_MS = 25

/** A client with a key: deposits on a connection that is kept, and now and then on a new one. */
export async function startWitness({ port, authorization }: Victim): Promise<Witness> {
  const kept = new Agent({ keepAlive: true, maxSockets: 2 })
  const refusals: string[] = []
  let times: number[] = []
  let over = false
  const ask = async (path: string, body: unknown, agent: Agent | false): Promise<void> => {
    const startedMs = performance.now()
    const status = await post({ port, path, authorization }, body, agent).catch(String)
    times.push(performance.now() - startedMs)
    if (typeof status === 'string' || status >= 300) refusals.push(`${path}: ${status}`)
  }
  await ask('/api/v1/users', { balance: 1_000 }, kept)
  const loop = async () => {
    for (let round = 0; !over; round += 1) {
      const deposit = { user_id: 1, deposit: 1 }
      await ask('/api/v1/payments/deposit', deposit, round % 8 === 0 ? false : kept)
      await wait(PAUSE_MS)
    }
  }
  const running = loop()
  return {
    refusals,
    take: () => times.splice(0),
    async stop() {
      over = true
      await running
      kept.destroy()
    },
  }
}

function post(
  { port, path, authorization }: { port: number; path: string; authorization: string },
  body: unknown,
  agent: Agent | false,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { authorization, 'content-type': 'application/json' }
    const options = { host: '127.0.0.1', port, path, method: 'POST', headers, agent }
    const sent = request(options, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
      answer.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
}
