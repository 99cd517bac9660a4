import { NOW, timed, type Statement, type Tx } from '../ports.ts'

/** An act on texts: which fields there were before, and which there are after it. */
interface TextAct {
  readonly act: 'edit' | 'erase'
  /** The payment that was edited; null: a user's texts were erased. */
  readonly paymentId: bigint | null
  readonly userId: bigint | null
  readonly actor: string
  readonly reason: string
  readonly requestId: string
  readonly before: Readonly<Record<string, string | null>>
  readonly after: Readonly<Record<string, string | null>>
}

/** Keep an act on texts. It says which fields were there, never what stood in them. */
const INSERT: Statement<never> = {
  name: 'operator_acts_insert_text',
  ...timed`
  insert into operator_acts
    (shard, id, payment_id, user_id, act, actor, reason, request_id, before, after, created_at)
  select
    $1::int, $3::bigint, $4::bigint, $5::bigint, $6, $7, $8, $9, $10::jsonb, $11::jsonb, ${NOW}`,
}

/** Keep an act on texts. */
export async function insertTextAct(tx: Tx, done: TextAct): Promise<void> {
  const [id] = await tx.ids('operator_act_ids', 1)
  const { paymentId, userId, act, actor, reason, requestId } = done
  const [before, after] = [JSON.stringify(done.before), JSON.stringify(done.after)]
  tx.write(INSERT, [id, paymentId, userId, act, actor, reason, requestId, before, after])
}
