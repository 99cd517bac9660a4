import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { temporaryFolder, until } from './process-kit.ts'

/** Nobody's account: PgBouncer refuses to run as root. */
const NOBODY = 65_534

/** The version of the PgBouncer of this machine, such as [1, 18]; null: it has none. */
export function pgbouncerVersion(): readonly [number, number] | null {
  try {
    const text = execFileSync('pgbouncer', ['--version'], { encoding: 'utf8' })
    const [, major = '', minor = ''] = /PgBouncer (\d+)\.(\d+)/.exec(text) ?? []
    return [Number(major), Number(minor)]
  } catch {
    return null
  }
}

/** Why a test that asks PgBouncer cannot run here; false: it can. */
export const NO_PGBOUNCER = pgbouncerVersion() === null && 'pgbouncer is not installed'

/** A pooler in transaction mode in front of a database. */
export interface Pooler {
  /** The database through the pooler. */
  readonly url: string
  /** End it as a machine does that loses its power. */
  kill(): Promise<void>
  /** Start it again, on the same port. */
  start(): Promise<void>
}

/** Start PgBouncer in front of the database at `url`, with settings of its own. */
export async function pgbouncer(
  t: TestContext,
  url: string,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Pooler> {
  const folder = await temporaryFolder(t)
  await fs.chmod(folder, 0o777)
  const port = await freePort()
  const { hostname, port: serverPort, username, password, pathname } = new URL(url)
  const server = { host: hostname, port: serverPort, user: username, password }
  const all = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: folder,
    auth_type: 'any',
    pool_mode: 'transaction',
    ...settings,
  }
  const lines = (fields: object, between: string) =>
    Object.entries(fields)
      .map(([name, value]) => `${name}=${value}`)
      .join(between)
  const file = join(folder, 'pgbouncer.ini')
  await fs.writeFile(
    file,
    `[databases]\n* = ${lines(server, ' ')}\n\n[pgbouncer]\n${lines(all, '\n')}\n`,
    { mode: 0o644 },
  )
  const through = `postgresql://pooled@127.0.0.1:${port}${pathname}`
  const account = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
  let kill = () => Promise.resolve()
  const start = async () => {
    const child = spawn('pgbouncer', [file], { stdio: 'ignore', ...account })
    kill = async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
    await until('the pooler answers', () => answers(through))
  }
  t.after(() => kill())
  await start()
  return { url: through, start, kill: () => kill() }
}

async function answers(connectionString: string): Promise<boolean> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => undefined)
  return client
    .connect()
    .then(() => client.end())
    .then(
      () => true,
      () => false,
    )
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}
