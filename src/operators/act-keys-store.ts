import { writeJson } from '../domain/exact-json.ts'
import type { ActKey } from '../domain/operator.ts'
import type { SentFields } from '../domain/sent-fields.ts'
import { NOW, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** What an act was, as far as its answer is made of it. */
export interface KeptKey {
  readonly sent: SentFields
  readonly actId: bigint
  readonly paymentId: bigint | null
  readonly before: Readonly<Record<string, string | null>>
  readonly after: Readonly<Record<string, string | null>>
}

/**
 * Keep the key of an act, for the user or for that of the payment it is about. A key that the user
 * has already fails the transaction, so no key ever stands for two acts.
 */
const KEEP: Statement<never> = {
  name: 'idempotency_keys_keep',
  ...timed`
  insert into idempotency_keys (shard, user_id, key, payment_id, act_id, sent, created_at)
  select
    $1::int, coalesce(act.user_id, payment.user_id), $5, act.payment_id, $6::bigint, $7::jsonb,
    ${NOW}
  from (values ($3::bigint, $4::bigint)) act (user_id, payment_id)
  left join payments payment on payment.shard = $1 and payment.id = act.payment_id`,
}

/** The act that a user's key stands for. */
const HELD: Statement<KeptKey> = {
  name: 'idempotency_keys_held',
  text: `
  select
    held.sent, act.id as "actId", act.payment_id as "paymentId", act.before, act.after
  from idempotency_keys held
  cross join lateral (
    select *
    from operator_acts
    where shard = $1 and id = held.act_id
    limit 1
  ) act
  where held.shard = $1 and held.user_id = $2 and held.key = $3`,
}

/** Whom an act is about: a user, or a payment, whose user has the key. */
interface About {
  readonly actId: bigint
  readonly userId: bigint | null
  readonly paymentId: bigint | null
}

/** Keep the key of an act in the transaction that does it. */
export function keepKey(tx: Tx, { key, sent, kept }: ActKey, about: About): void {
  const { actId, userId, paymentId } = about
  kept(actId)
  tx.write(KEEP, [userId, paymentId, key, actId, writeJson(sent)])
}

/** The act that a user's key stands for; null: none. */
export async function keyHeld(shard: Runner, userId: bigint, key: string): Promise<KeptKey | null> {
  const [held] = await shard.run(HELD, [userId, key])
  return held ?? null
}
