import { numbers } from '../domain/columns.ts'
import type { Statement, Tx } from '../ports.ts'

/** What endpoints answered may repeat what they were sent. */
const ERASE: Statement<never> = {
  name: 'deliveries_erase_replies',
  text: `
  update delivery_attempts
  set reply = null
  where shard = $1 and reply is not null and event_id = any (array(
    select id
    from events
    where shard = $1 and payment_id = any ($2::bigint[])
  ))`,
}

/** Erase what endpoints answered to events of payments, in the transaction that erases those. */
export function eraseReplies(tx: Tx, paymentIds: readonly bigint[]): void {
  if (paymentIds.length > 0) tx.write(ERASE, [numbers(paymentIds)])
}
