import { columns, numbers } from '../domain/array-parameters.ts'
import type { Operator } from '../domain/operator.ts'
import { keepKey } from './act-keys-store.ts'
import { NOW, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** An act of an operator on a payment, as it is kept. */
export interface OperatorAct extends Operator {
  readonly paymentId: bigint
  /** The letter that it is about; null: it is about none. */
  readonly letterId: bigint | null
  readonly act: 'redrive' | 'resolve' | 'cancel' | 'return' | 'correct'
  /** What the payment and the letter were, and what the act made of them. */
  readonly before: Readonly<Record<string, string | null>>
  readonly after: Readonly<Record<string, string | null>>
}

/** An act on a payment as the record has it; an edit is about no letter. */
export type KeptAct = Omit<OperatorAct, 'act' | 'letterId' | 'key'> & {
  readonly act: 'redrive' | 'resolve' | 'edit'
  readonly letterId: bigint | null
  readonly createdAt: Date
}

/** What of an act is its own; the rest is that of all acts which one operator did together. */
interface ActRow {
  readonly id: bigint
  readonly paymentId: bigint
  readonly letterId: bigint | null
  /** Documents. */
  readonly before: string
  readonly after: string
}

const ACT_ROWS = columns<ActRow>({
  id: 'bigint',
  paymentId: 'bigint',
  letterId: 'bigint',
  before: 'text',
  after: 'text',
})

/** Keep acts, in order, and count the payments that they ended. */
const INSERT_ACTS: Statement<never> = {
  name: 'operator_acts_insert',
  ...timed`
  with kept as (
    insert into operator_acts
      (shard, id, payment_id, letter_id, redrive_id, act, actor, reason, request_id, before, after,
       created_at)
    select
      $1::int, id, payment_id, letter_id, $3::bigint, $4, $5, $6, $7, before::jsonb, after::jsonb,
      ${NOW}
    from ${ACT_ROWS.unnest('done', 8)}
    returning before ->> 'payment' as was, after ->> 'payment' as is_now
  )
  insert into payment_counts (shard, resolved_success, resolved_failed)
  select
    $1::int, count(*) filter (where is_now = 'success'), count(*) filter (where is_now = 'failed')
  from kept
  where was = 'unknown' and is_now in ('success', 'failed')
  having count(*) > 0`,
}

/** Every act on a payment, oldest first. */
const ACTS: Statement<KeptAct> = {
  name: 'operator_acts_of_payment',
  text: `
  select
    payment_id as "paymentId", letter_id as "letterId", redrive_id as "redriveId", act, actor,
    reason, request_id as "requestId", before, after, created_at as "createdAt"
  from operator_acts
  where shard = $1 and payment_id = $2
  order by id`,
}

/** An act on texts: which fields there were before, and which there are after it. */
interface TextAct extends Omit<Operator, 'redriveId'> {
  readonly act: 'edit' | 'erase'
  /** The payment that was edited; null: it is about a user. */
  readonly paymentId: bigint | null
  readonly userId: bigint | null
  readonly before: Readonly<Record<string, string | null>>
  readonly after: Readonly<Record<string, string | null>>
}

/** Keep an act on texts. It says which fields were there, never what stood in them. */
const INSERT_TEXT: Statement<never> = {
  name: 'operator_acts_insert_text',
  ...timed`
  insert into operator_acts
    (shard, id, payment_id, user_id, act, actor, reason, request_id, before, after, created_at)
  select
    $1::int, $3::bigint, $4::bigint, $5::bigint, $6, $7, $8, $9, $10::jsonb, $11::jsonb, ${NOW}`,
}

/** Keep what one operator did to some letters, in order. */
export async function insertActs(tx: Tx, acts: readonly OperatorAct[]): Promise<void> {
  const [first] = acts
  if (first === undefined) return
  const { redriveId, act, actor, reason, requestId } = first
  const ids = await tx.ids('operator_act_ids', acts.length)
  const rows = acts.map(({ paymentId, letterId, before, after }, index) => ({
    id: ids[index] as bigint,
    paymentId,
    letterId,
    before: JSON.stringify(before),
    after: JSON.stringify(after),
  }))
  const [actId] = ids
  if (first.key != null && actId !== undefined) {
    keepKey(tx, first.key, { actId, userId: null, paymentId: first.paymentId })
  }
  tx.write(INSERT_ACTS, [redriveId, act, actor, reason, requestId, ...ACT_ROWS.of(rows)])
}

/** Payments of which somebody has asked that they end. */
const CANCELS: Statement<{ paymentId: bigint }> = {
  name: 'operator_acts_cancels',
  text: `
  select distinct payment_id as "paymentId"
  from operator_acts
  where shard = $1 and payment_id = any ($2::bigint[]) and act = 'cancel'`,
}

/** Those of these payments of which somebody has asked that they end. */
export async function cancelsAsked(tx: Tx, ids: readonly bigint[]): Promise<Set<bigint>> {
  const rows = ids.length === 0 ? [] : await tx.run(CANCELS, [numbers(ids)])
  return new Set(rows.map(({ paymentId }) => paymentId))
}

/** Every act of an operator on a payment, oldest first. */
export function actsOfPayment(shard: Runner, paymentId: bigint): Promise<KeptAct[]> {
  return shard.run(ACTS, [paymentId])
}

/** Take the id of an act; who takes it before its locks holds them for a shorter time. */
export async function takeActId(tx: Tx): Promise<bigint> {
  const [id] = await tx.ids('operator_act_ids', 1)
  if (id === undefined) throw new Error('no id of an act')
  return id
}

/** Keep an act on texts. */
export function insertTextAct(tx: Tx, id: bigint, done: TextAct): void {
  const { paymentId, userId, act, actor, reason, requestId } = done
  const [before, after] = [JSON.stringify(done.before), JSON.stringify(done.after)]
  if (done.key != null) {
    keepKey(tx, done.key, { actId: id, userId, paymentId })
  }
  tx.write(INSERT_TEXT, [id, paymentId, userId, act, actor, reason, requestId, before, after])
}
