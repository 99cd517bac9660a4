import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { merged } from './spread.ts'

/** The same on each of these databases, as if they were one. */
export async function queryAll<Row extends object>(
  urls: readonly string[],
  text: string,
): Promise<Row[]> {
  return merged(await Promise.all(urls.map((url) => query<Row>(url, text))))
}

/** A look at the database that a scenario has just shaken may have to be repeated. */
const TRIES_MAX = 50

/** Run SQL on a connection of its own. Tried again while the server is away. */
export async function query<Row extends object>(url: string, text: string): Promise<Row[]> {
  for (let tries = 1; ; tries += 1) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return (await client.query<Row>(text)).rows
    } catch (error) {
      // An error of the server in the statement itself does not go away.
      const code = String((error as { code?: unknown }).code)
      if (tries === TRIES_MAX || /^(22|23|42)/.test(code)) throw error
      await wait(100)
    } finally {
      await client.end().catch(() => undefined)
    }
  }
}
