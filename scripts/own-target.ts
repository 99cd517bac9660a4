import * as fs from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../src/adapters/embedded-postgres.ts'
import { migrate } from '../src/adapters/migrate.ts'
import { startTarget, type Target } from '../test/hostile/target.ts'
import { temporaryFolder } from './temporary.mjs'

interface Own {
  /** The name of the database, and of the temporary folder. */
  readonly name: string
  /** Where an embedded server listens: away from the service's own ports and from each other. */
  readonly port: number
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * Do `work` with a service on an empty database: on the server that TEST_DATABASE_URL names, or on
 * an embedded one in a temporary folder, which `work` may use too. Nothing is left behind.
 */
export async function withTarget<Result>(
  { name, port, settings }: Own,
  work: (target: Target, folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = temporaryFolder(`payments-${name}-`)
  const given = process.env['TEST_DATABASE_URL']
  const dataDir = join(folder, 'data')
  const server = given ? null : await startEmbeddedPostgres({ dataDir, port })
  try {
    const database = await freshDatabase(given ?? server?.url ?? '', `payments_${name}`)
    const target = await startTarget(database, settings)
    try {
      return await work(target, folder)
    } finally {
      await target.stop()
    }
  } finally {
    await server?.stop()
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** An empty, migrated database; the one of the last run is dropped. */
async function freshDatabase(adminUrl: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: adminUrl })
  await client.connect()
  await client.query(`drop database if exists ${name} with (force)`)
  await client.query(`create database ${name}`)
  await client.end()
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  await migrate(url.href)
  return url.href
}
