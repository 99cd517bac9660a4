import { NOW, timed, type Notice, type Runner, type Statement, type Tx } from '../ports.ts'

type About = Extract<Notice, { kind: 'authentic' | 'hint' }>

/** Whether a notice is kept of which something came. */
const KNOWN: Statement<{ known: boolean }> = {
  name: 'gateway_notices_known',
  text: `
  select true as known
  from gateway_notices
  where shard = $1 and gateway = $2 and dedupe_key = $3 and verdict <> 'nothing'`,
}

/**
 * Keep a notice with what came of it. Of two that are the same the first is kept of which something
 * came.
 */
const KEEP: Statement<never> = {
  name: 'gateway_notices_keep',
  ...timed`
  insert into gateway_notices as kept
    (shard, gateway, dedupe_key, payment_id, operation, ref, event, status, verdict, received_at)
  select $1::int, $3, $4, $5::bigint, $6, $7, $8, $9, $10, ${NOW}
  on conflict (shard, gateway, dedupe_key) do update
  set
    payment_id = excluded.payment_id,
    operation = excluded.operation,
    verdict = excluded.verdict
  where kept.verdict = 'nothing' and excluded.verdict <> 'nothing'`,
}

/** How many notices are forgotten at a time. */
const FORGET_MAX = 1_000

/**
 * Forget the oldest notices that came more than 30 days ago. Their two names come as arrays,
 * because for a join the planner would read the whole table: so one of another gateway that has
 * the same key goes as well, if it is as old.
 */
const FORGET: Statement<{ dedupeKey: string }> = {
  name: 'gateway_notices_forget',
  ...timed`
  with old as materialized (
    select gateway, dedupe_key, received_at
    from gateway_notices
    where shard = $1 and received_at < ${NOW} - interval '30 days'
    order by received_at
    limit 1000
  )
  delete from gateway_notices
  where shard = $1
    and gateway = any (array(select distinct gateway from old))
    and dedupe_key = any (array(select dedupe_key from old))
    and received_at <= (select max(received_at) from old)
  returning dedupe_key as "dedupeKey"`,
}

/** Whether this notice came before, and something came of it. */
export async function noticeKnown(
  shard: Runner,
  gateway: string,
  { dedupeKey }: Pick<About, 'dedupeKey'>,
): Promise<boolean> {
  const rows = await shard.run(KNOWN, [gateway, dedupeKey])
  return rows.length > 0
}

/** Keep a notice, unless more came of the same one before. */
export function keepNotice(tx: Tx, gateway: string, notice: About, verdict: string): void {
  const { dedupeKey, paymentId, operation, ref, event, status } = notice
  const values = [gateway, dedupeKey, paymentId, operation, ref, event, status, verdict]
  tx.write(KEEP, values)
}

/** Forget some of the notices that are older than 30 days; true: there may be more. */
export async function forgetNotices(shard: Runner): Promise<boolean> {
  return (await shard.run(FORGET, [])).length === FORGET_MAX
}
