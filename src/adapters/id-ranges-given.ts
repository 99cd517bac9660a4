import type { Client } from 'pg'

/**
 * The largest number that ids of payments were made of, whether any payment has it or not, and the
 * largest id that a payment has.
 */
const GIVEN = `
  select
    greatest(coalesce((
      select last_value
      from pg_sequences
      where schemaname = current_schema() and sequencename = 'payment_ids'
    ), 0), 0)::text as number,
    (select coalesce(max(id), 0)::text from payments) as id`

const LIVING = `
  select count(*)::int as count
  from processes
  where seen_at > clock_timestamp() - interval '30 seconds'`

/** The largest id of a payment that was ever given, where each number makes `of` ids. */
export async function givenIds(client: Client, of: number): Promise<bigint> {
  const { rows } = await client.query<{ number: string; id: string }>(GIVEN)
  const [{ number, id } = { number: '0', id: '0' }] = rows
  const upTo = (BigInt(number) + 1n) * BigInt(of) - 1n
  return upTo > BigInt(id) ? upTo : BigInt(id)
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
