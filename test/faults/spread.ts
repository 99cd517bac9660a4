import { systemClock } from '../../src/adapters/clock.ts'
import { postgres, type PostgresDb } from '../../src/adapters/postgres.ts'
import { postgresServers } from '../../src/adapters/servers.ts'
import { mapText } from '../../src/domain/server-map.ts'

/** A range of shards, and the database that holds them. */
export interface Held {
  readonly first: number
  readonly last: number
  readonly url: string
}

/** Half of the shards for each of two databases. */
export function halves(shards: number, firstUrl: string, secondUrl: string): readonly Held[] {
  const half = shards / 2
  return [
    { first: 0, last: half - 1, url: firstUrl },
    { first: half, last: shards - 1, url: secondUrl },
  ]
}

/** The setting that says which database holds which shards. */
export function mapOf(held: readonly Held[]): string {
  return held.map((one) => `${mapText([one])}=${one.url}`).join()
}

/**
 * The rows of several databases as if they were of one: where each gives one row of numbers, such
 * as counts, they are added up.
 */
export function merged<Row extends object>(parts: readonly (readonly Row[])[]): Row[] {
  const rows = parts.flat()
  const [first] = rows
  if (first === undefined || parts.some((part) => part.length !== 1)) return rows
  const isNumber = (value: unknown) => typeof value === 'number' || /^-?\d+$/.test(String(value))
  if (!rows.every((row) => Object.values(row).every(isNumber))) return rows
  const total = Object.keys(first).map((name) => {
    const values = rows.map((row) => (row as Record<string, unknown>)[name])
    if (typeof values[0] === 'number')
      return [name, values.reduce((sum: number, one) => sum + Number(one), 0)]
    return [name, String(values.reduce((sum: bigint, one) => sum + BigInt(String(one)), 0n))]
  })
  return [Object.fromEntries(total) as Row]
}

/** Open the database of a stack, be it one server or several, to look at its books. */
export function openBooks(at: {
  readonly databaseUrl: string
  readonly shards: number
  readonly held: readonly Held[] | null
}): PostgresDb {
  const options = {
    url: at.databaseUrl,
    currency: 'USD',
    shards: at.shards,
    poolMax: 2,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 20_000,
    lockTimeoutMs: 5_000,
    idleTransactionTimeoutMs: 20_000,
    name: 'faults verify',
  }
  if (at.held === null) return postgres(options)
  return postgresServers({ ...options, servers: at.held, elapsedMs: systemClock.elapsedMs })
}
