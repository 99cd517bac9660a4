import { columns } from '../domain/array-parameters.ts'
import { GATEWAY, type BookedType } from '../domain/payment.ts'
import type { Runner, Statement } from '../ports.ts'

/** The newest payments of a user whose own references are compared. */
const NEWEST_MAX = 1_000

/** What an operator says that the gateway calls a payment. */
export interface Named {
  /** The payment that they speak of. */
  readonly id: bigint
  readonly userId: bigint
  readonly type: BookedType
  readonly gateway: string
  readonly ref: string
}

const NAMED = columns<Named>({
  id: 'bigint',
  userId: 'bigint',
  type: 'word',
  gateway: 'text',
  ref: 'text',
})

/** Of the acts that end a payment. */
const EXECUTED = ` and after ->> 'payment' = 'success'`

/** Payments that somebody has booked as executed under the name, by one of the acts. */
const saidBy = (act: 'correct' | 'resolve', but = '') => `
      select payment_id as id
      from operator_acts
      where shard = $1 and act = '${act}' and after ->> 'gateway_ref' = input.ref
        and after ->> 'gateway_ref' <> ''${but}`

/**
 * Other payments of the shard that their gateway calls so: those that did not fail, and those that
 * failed and were corrected under that name. It is looked up where names are kept, of whoever's
 * payments, however old they are: what people have said of any payment, and what gateways say of
 * deposits where they may name them by nothing else. Of what only the payment itself tells no index
 * has the names, because it would be written with every success: there the user's newest payments
 * are looked at.
 */
const NAMED_SO: Statement<Named & { readonly other: bigint }> = {
  name: 'payments_named_so',
  text: `
  select
    input.id, input.user_id as "userId", input.type, input.gateway, input.ref, payment.id as other
  from ${NAMED.unnest('input', 2)}
  cross join lateral (
    select min(own.id) as id
    from (
      select id
      from (
        select id, status, gateway_ref
        from payments
        where shard = $1 and (user_id, id) > (input.user_id, 0)
          and (user_id, id) < (input.user_id, 9223372036854775807)
        order by user_id desc, id desc
        limit ${NEWEST_MAX}
      ) newest
      where status <> 'failed' and gateway_ref = input.ref
      union all
      select payment_id
      from gateway_refs
      where shard = $1 and gateway = input.gateway and ref = input.ref
      union all${saidBy('correct')}
      union all${saidBy('resolve', EXECUTED)}
    ) called
    cross join lateral (
      select id, user_id, type, status, coalesce(gateway, '${GATEWAY}') as gateway
      from payments
      where shard = $1 and id = called.id
      limit 1
    ) own
    where own.id <> input.id and own.type = input.type and own.gateway = input.gateway
      and (own.status <> 'failed' or exists (
        select
        from postings
        where shard = $1 and user_id = own.user_id and payment_id = own.id
          and kind = 'settle_late'
      ))
  ) payment
  where payment.id is not null`,
}

/** The key of a name. */
export function nameKeyOf({ type, gateway, ref }: Pick<Named, 'type' | 'gateway' | 'ref'>): string {
  return `${type} ${gateway} ${ref}`
}

/** The other payments of these names, by `nameKeyOf`. */
export async function paymentsNamed(
  shard: Runner,
  names: readonly Named[],
): Promise<Map<string, bigint>> {
  const rows = names.length === 0 ? [] : await shard.run(NAMED_SO, NAMED.of(names))
  return new Map(rows.map((row) => [nameKeyOf(row), row.other]))
}
