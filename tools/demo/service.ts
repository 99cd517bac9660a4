import { spawn, type ChildProcess } from 'node:child_process'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Environment } from '../../src/config/config.ts'
import type { Clock } from '../../src/ports.ts'
import { end, freePort, hasEnded } from '../child.ts'

/** A service process that belongs to the demo. */
export interface OwnService {
  readonly url: string
  /** Wait until it serves. Throws with what it has said when it ends instead. */
  ready(): Promise<void>
  /** Stop it, wait until it has ended, and delete its data. */
  stop(): Promise<void>
}

/** The program as it is shipped; `npm run demo` builds it first. */
const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

/** A first start takes seconds; on a slow, busy disk it takes a minute. */
const START_MS_MAX = 180_000
/** More than SHUTDOWN_TIMEOUT_SECONDS, 8 by default, and the database's own stop. */
const STOP_MS_MAX = 60_000
const POLL_MS = 50
/** How much of what a service that died has said is shown. */
const OUTPUT_SHOWN = 2_000

/**
 * Start the built program's `start` command in a process of its own, on a free port, with a
 * database in a temporary folder and the mock gateway, whatever the environment and `.env` say
 * about either. Returns as soon as there is a process to stop.
 */
export async function startOwn(
  clock: Clock,
  environment: Environment,
  seed: number,
): Promise<OwnService> {
  const folder = await fs.mkdtemp(join(tmpdir(), 'payments-demo-'))
  // Open to pass through: root's database server runs as another account.
  await fs.chmod(folder, 0o711)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = spawn(process.execPath, ['--enable-source-maps', PROGRAM, 'start'], {
    env: { ...environment, ...SETTINGS, ...settingsOf(folder, port, seed) },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C reaches the demo alone, which stops the service in order.
    detached: true,
  })
  const output = collect(child)
  let starting: Promise<void> | null = null
  const ready = () => (starting ??= untilReady(clock, child, url, output))
  return {
    url,
    ready,
    async stop() {
      // A service that is told to stop in the middle of its start would leave its database behind.
      await ready().catch(() => undefined)
      await end(child, STOP_MS_MAX)
      await fs.rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** Empty is unset, and wins over `.env`. */
const SETTINGS = {
  APP_ENV: 'local',
  DATABASE_URL: '',
  PAYMENT_GATEWAY_URL: '',
  AUTO_CREATE_TABLES: 'true',
  LOG_LEVEL: 'warn',
  LOG_FORMAT: 'json',
  RATE_LIMIT_PER_SECOND: '0',
}

function settingsOf(folder: string, port: number, seed: number): Record<string, string> {
  return {
    HOST: '127.0.0.1',
    PORT: String(port),
    DATA_DIR: folder,
    MOCK_GATEWAY_SEED: String(seed),
  }
}

/** The last of what the process has written. */
function collect(child: ChildProcess): () => string {
  let text = ''
  const take = (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-OUTPUT_SHOWN)
  }
  child.stdout?.on('data', take)
  child.stderr?.on('data', take)
  return () => text
}

/** The greeting comes last: from then on the service takes signals. */
async function untilReady(
  clock: Clock,
  child: ChildProcess,
  url: string,
  output: () => string,
): Promise<void> {
  const untilMs = clock.elapsedMs() + START_MS_MAX
  while (!output().includes(`${url}/docs`)) {
    if (hasEnded(child)) throw new Error(`The service of the demo ended at its start:\n${output()}`)
    if (clock.elapsedMs() > untilMs) {
      throw new Error(`The service of the demo was not ready in time:\n${output()}`)
    }
    await clock.sleep(POLL_MS)
  }
}
