import type { TestContext } from 'node:test'
import { createDatabase, startServer, type Server } from './faults/stack.ts'
import { freePort } from './faults/processes.ts'
import { temporaryFolder } from './process-kit.ts'
import { run } from './programs.ts'

/** Shards of the tests on two servers: the first four are with the home side. */
export const SHARDS = 8

/** Two servers that can be killed, and the settings of a service on both. */
export interface TwoServers {
  /** Has the home side and the shards 0 to 3. */
  readonly home: Server
  /** Has the shards 4 to 7. */
  readonly other: Server
  readonly homeUrl: string
  readonly otherUrl: string
  readonly env: Readonly<Record<string, string>>
}

/** Start two embedded servers; both are stopped when the test ends. */
export async function twoServers(t: TestContext): Promise<TwoServers> {
  const started: Server[] = []
  t.after(() => Promise.all(started.map((server) => server.stop())))
  const begin = async () => {
    const server = await startServer(await temporaryFolder(t), await freePort())
    started.push(server)
    return server
  }
  const home = await begin()
  const other = await begin()
  const homeUrl = await createDatabase(home, 'first')
  const otherUrl = await createDatabase(other, 'second')
  return { home, other, homeUrl, otherUrl, env: mapOf(homeUrl, otherUrl) }
}

/** The settings of a service whose shards are half on each of two databases. */
export function mapOf(homeUrl: string, otherUrl: string): Readonly<Record<string, string>> {
  return {
    DATABASE_URL: homeUrl,
    SHARDS: String(SHARDS),
    SHARD_DATABASES: `0-3=${homeUrl},4-7=${otherUrl}`,
  }
}

/** Run `payments distribute`; throws what it says when it refuses. */
export async function distribute(
  t: TestContext,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { code, stdout, stderr } = await run(t, ['distribute'], env)
  if (code !== 0) throw new Error(stderr)
  return stdout
}
