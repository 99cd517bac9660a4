import pg from 'pg'
import { USERS, type Database } from '../rig.ts'
import { ACCEPTED } from '../accepted.ts'

/** Rows of a batch; larger ones were no faster. */
const BATCH = 1_000

/** Batches are made ahead, so that a client costs next to nothing. */
const MADE_AHEAD = 16

/**
 * The rows of accepted payments, as ours: half of them withdrawals with a hold and its posting. The
 * rows come from the client, as any service's must; ids count up from `$1`. One statement, one
 * round trip, prepared once.
 */
const INSERT = `
  with priced as materialized (
    select
      $1::bigint + number as id, user_id, withdrawal, amount,
      (amount * 200 + 5000) / 10000 as commission
    from unnest($2::bigint[], $3::boolean[], $4::bigint[])
      with ordinality as draft (user_id, withdrawal, amount, number)${ACCEPTED}`

/** Insert batches over `connections` connections for a while; returns payments per second. */
export async function insertLimit(
  database: Database,
  connections: 1 | 2,
  durationMs: number,
): Promise<number> {
  const [row] = await database.sql<{ id: string }>(
    'select coalesce(max(id), 0) as id from payments',
  )
  let next = Number(row?.id)
  let done = 0
  const startMs = performance.now()
  const lane = async (parity: number): Promise<void> => {
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    const batches = Array.from({ length: MADE_AHEAD }, () => batch(parity))
    while (performance.now() - startMs < durationMs) {
      const rows = batches[Math.floor(done / BATCH) % MADE_AHEAD] ?? []
      const values = [next, ...rows]
      next += BATCH
      await client.query({ name: 'insert', text: INSERT, values })
      done += BATCH
    }
    await client.end()
  }
  await Promise.all(Array.from({ length: connections }, (_, parity) => lane(parity)))
  return done / ((performance.now() - startMs) / 1_000)
}

/** Odd or even users, so that two connections never wait for each other. */
function batch(parity: number): string[] {
  const users: number[] = []
  const withdrawals: boolean[] = []
  const amounts: number[] = []
  for (let row = 0; row < BATCH; row += 1) {
    users.push(1 + Math.floor((Math.random() * USERS.count) / 2) * 2 + parity)
    withdrawals.push(row % 2 === 0)
    amounts.push(100 + Math.floor(Math.random() * 10_000))
  }
  return [users, withdrawals, amounts].map((values) => `{${values.join(',')}}`)
}
