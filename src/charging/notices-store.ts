import { NOW, timed, type Notice, type Runner, type Statement, type Tx } from '../ports.ts'

type About = Extract<Notice, { kind: 'authentic' | 'hint' }>

/** Whether a notice is kept already. */
const KNOWN: Statement<{ known: boolean }> = {
  name: 'gateway_notices_known',
  text: `
  select true as known
  from gateway_notices
  where shard = $1 and gateway = $2 and dedupe_key = $3`,
}

/** Keep a notice with what came of it. Of two that are the same the first is kept. */
const KEEP: Statement<never> = {
  name: 'gateway_notices_keep',
  ...timed`
  insert into gateway_notices
    (shard, gateway, dedupe_key, payment_id, operation, ref, event, status, verdict, received_at)
  select $1::int, $3, $4, $5::bigint, $6, $7, $8, $9, $10, ${NOW}
  on conflict (shard, gateway, dedupe_key) do nothing`,
}

/** How many notices are forgotten at a time. */
const FORGET_MAX = 1_000

/**
 * Forget the oldest notices that came more than 30 days ago. They are found again by where they
 * lie: nobody changes a notice, and for their two names the planner would read the whole table.
 */
const FORGET: Statement<{ dedupeKey: string }> = {
  name: 'gateway_notices_forget',
  ...timed`
  with old as materialized (
    select ctid
    from gateway_notices
    where shard = $1 and received_at < ${NOW} - interval '30 days'
    order by received_at
    limit 1000
  )
  delete from gateway_notices
  where shard = $1 and ctid = any (array(select ctid from old))
  returning dedupe_key as "dedupeKey"`,
}

/** Whether this notice came before. */
export async function noticeKnown(
  shard: Runner,
  gateway: string,
  { dedupeKey }: Pick<About, 'dedupeKey'>,
): Promise<boolean> {
  const rows = await shard.run(KNOWN, [gateway, dedupeKey])
  return rows.length > 0
}

/** Keep a notice, unless the same is kept already. */
export function keepNotice(tx: Tx, gateway: string, notice: About, verdict: string): void {
  const { dedupeKey, paymentId, operation, ref, event, status } = notice
  const values = [gateway, dedupeKey, paymentId, operation, ref, event, status, verdict]
  tx.write(KEEP, values)
}

/** Forget some of the notices that are older than 30 days; true: there may be more. */
export async function forgetNotices(shard: Runner): Promise<boolean> {
  return (await shard.run(FORGET, [])).length === FORGET_MAX
}
