import { exponentOf, type Exponent } from '../domain/currency.ts'
import { readParents, type StoredParent } from '../payments/back-store.ts'
import type { Db } from '../ports.ts'
import { eachPart, whole } from '../each-shard.ts'

/** The exponent of the currency in which a payment is; `currency` is that of the books. */
export function exponentIn(stored: StoredParent, currency: string): Exponent {
  const code = stored.currency ?? currency
  const exponent = exponentOf(code)
  if (exponent === undefined) throw new Error(`${code} is no currency`)
  return exponent
}

/** How many decimals the amounts of payments have, by id; those that do not exist are left out. */
export async function exponentsOf(
  { db, currency }: { readonly db: Db; readonly currency: string },
  ids: readonly bigint[],
): Promise<ReadonlyMap<bigint, Exponent>> {
  const found = whole(await eachPart(db, ids, (id) => id, readParents)).flat()
  return new Map(found.map((stored) => [stored.id, exponentIn(stored, currency)]))
}
