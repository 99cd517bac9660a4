import { columns } from '../domain/array-parameters.ts'
import type { Runner, Statement, Tx } from '../ports.ts'

/** What a gateway calls a deposit, where that may be all that it names later. */
export interface KeptRef {
  readonly gateway: string
  readonly ref: string
  readonly paymentId: bigint
}

const REFS = columns<KeptRef>({ gateway: 'text', ref: 'text', paymentId: 'bigint' })

/**
 * Keep what gateways say. A gateway gives each reference once, so what somebody else has said of it
 * before was a mistake.
 */
const KEEP: Statement<never> = {
  name: 'gateway_refs_keep',
  text: `
  insert into gateway_refs (shard, gateway, ref, payment_id)
  select $1::int, gateway, ref, min(payment_id)
  from ${REFS.unnest('kept', 2)}
  group by gateway, ref
  order by gateway, ref
  on conflict (shard, gateway, ref) do update
  set payment_id = excluded.payment_id
  where gateway_refs.payment_id <> excluded.payment_id`,
}

/** Keep what people say: of references that are kept already they say nothing new. */
const KEEP_SAID: Statement<never> = {
  name: 'gateway_refs_keep_said',
  text: `
  insert into gateway_refs (shard, gateway, ref, payment_id)
  select $1::int, gateway, ref, payment_id
  from ${REFS.unnest('kept', 2)}
  order by gateway, ref
  on conflict do nothing`,
}

/** The payment of a shard that its gateway calls so, however old it is. */
const FIND: Statement<{ paymentId: bigint }> = {
  name: 'gateway_refs_find',
  text: `
  select payment_id as "paymentId"
  from gateway_refs
  where shard = $1 and gateway = $2 and ref = $3`,
}

/** Keep what gateways call deposits, by their own word. */
export function keepRefs(tx: Tx, refs: readonly KeptRef[]): void {
  if (refs.length > 0) tx.write(KEEP, REFS.of(refs))
}

/** The same by the word of people. */
export function keepSaidRefs(tx: Tx, refs: readonly KeptRef[]): void {
  if (refs.length > 0) tx.write(KEEP_SAID, REFS.of(refs))
}

/** Keep what a gateway calls one payment, by its own word or by that of whoever ended it. */
export async function keepRef(shard: Runner, ref: KeptRef, by: 'gateway' | 'books'): Promise<void> {
  await shard.run(by === 'gateway' ? KEEP : KEEP_SAID, REFS.of([ref]))
}

/** The payment that its gateway calls so; null: there is none in this shard. */
export async function findRef(shard: Runner, gateway: string, ref: string): Promise<bigint | null> {
  const [row] = await shard.run(FIND, [gateway, ref])
  return row?.paymentId ?? null
}
