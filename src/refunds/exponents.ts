import { exponentIn, type Exponent } from '../domain/currency.ts'
import { readParents } from '../payments/back-store.ts'
import type { Db } from '../ports.ts'
import { eachPart, whole } from '../each-shard.ts'

/** How many decimals the amounts of payments have, by id; those that do not exist are left out. */
export async function exponentsOf(
  db: Db,
  ids: readonly bigint[],
): Promise<ReadonlyMap<bigint, Exponent>> {
  const places = await db.find('payment', ids)
  const parents = whole(await eachPart(places, ids, (id) => id, readParents)).flat()
  return new Map(parents.map(({ id, currency }) => [id, exponentIn(currency, db.currency)]))
}
