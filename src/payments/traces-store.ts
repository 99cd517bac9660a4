import { columns, numbers } from '../domain/array-parameters.ts'
import { NOW, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** The place in a trace of the request by which a payment, or that it goes on, was asked for. */
export interface Traced {
  readonly paymentId: bigint
  readonly traceparent: string
}

const TRACED = columns<Traced>({ paymentId: 'bigint', traceparent: 'text' })

/**
 * Keep to which traces payments belong, in the transaction that accepts them or starts them over:
 * what follows belongs to whoever asked last. A table and a statement of their own, so that
 * accepting those that are not traced sends and writes nothing for it.
 */
const WRITE: Statement<never> = {
  name: 'payment_traces_write',
  text: `
  insert into payment_traces (shard, payment_id, traceparent)
  select $1::int, payment_id, traceparent
  from ${TRACED.unnest('traced', 2)}
  order by payment_id
  on conflict (shard, payment_id) do update set traceparent = excluded.traceparent`,
}

/** To which traces payments belong: those that are not traced are not in it. */
const READ: Statement<Traced> = {
  name: 'payment_traces_read',
  text: `
  select payment_id as "paymentId", traceparent
  from payment_traces
  where shard = $1 and payment_id = any ($2::bigint[])`,
}

/**
 * Forget the traces of the oldest payments, at most a thousand, which were accepted before a week
 * ago: nothing of theirs is called any more. Ids grow with time, so they are the first of the key.
 */
const FORGET: Statement<{ paymentId: bigint }> = {
  name: 'payment_traces_forget',
  ...timed`
  with old as materialized (
    select traced.payment_id
    from (
      select payment_id
      from payment_traces
      where shard = $1
      order by payment_id
      limit 1000
    ) traced
    cross join lateral (
      select
      from payments
      where shard = $1 and id = traced.payment_id and created_at < ${NOW} - interval '7 days'
      limit 1
    ) accepted
  )
  delete from payment_traces
  where shard = $1 and payment_id = any (array(select payment_id from old))
  returning payment_id as "paymentId"`,
}

/** Keep to which traces payments belong. */
export function writeTraces(tx: Tx, traced: readonly Traced[]): void {
  if (traced.length > 0) tx.write(WRITE, TRACED.of(traced))
}

/** Keep that payments belong to the trace of one request; nothing where it is not traced. */
export function writeTrace(
  tx: Tx,
  { traceparent }: { readonly traceparent?: string },
  paymentIds: readonly bigint[],
): void {
  if (traceparent === undefined) return
  writeTraces(
    tx,
    paymentIds.map((paymentId) => ({ paymentId, traceparent })),
  )
}

/** The `traceparent` of those payments that have one. */
export async function readTraces(
  shard: Runner,
  ids: readonly bigint[],
): Promise<ReadonlyMap<bigint, string>> {
  const rows = await shard.run(READ, [numbers(ids)])
  return new Map(rows.map(({ paymentId, traceparent }) => [paymentId, traceparent]))
}

/** Forget the traces of some payments that are older than a week; true: there may be more. */
export async function forgetTraces(shard: Runner): Promise<boolean> {
  return (await shard.run(FORGET, [])).length === 1_000
}
