import type { Client } from 'pg'
import { RANGES_GIVEN } from './id-ranges-read.ts'

const LIVING = `
  select count(*)::int as count
  from processes
  where seen_at > clock_timestamp() - interval '30 seconds'`

/** The largest number that ids of payments were made of. */
export async function givenNumber(client: Client): Promise<bigint> {
  const { rows } = await client.query<{ number: string }>(RANGES_GIVEN.text)
  return BigInt(rows[0]?.number ?? 0)
}

/** Throws a sentence when processes use a database. */
export async function demandUnused(client: Client): Promise<void> {
  const { rows } = await client.query<{ count: number }>(LIVING)
  const count = rows[0]?.count ?? 0
  if (count === 0) return
  throw new Error(
    `${count} processes use the database: stop them first. One that was killed counts for 30 ` +
      'seconds.',
  )
}
