import type { BookedType, StoredStatus } from '../domain/payment.ts'
import { PAYMENT_COLUMNS } from './store.ts'

/**
 * What of a filter is compared payment by payment. `$10` are the payments that were corrected under
 * the reference `$7`: looked up in a subquery, they would give this list another plan than others.
 */
export const MATCHES = `($4::text is null or status = $4)
    and ($5::text is null or type = $5)
    and ($7::text is null or gateway_ref = $7 or id = any ($10::bigint[]))
    and ($8::timestamptz is null or created_at >= $8)
    and ($9::timestamptz is null or created_at < $9)`

/** Whether a row of `payments` has this reference: its own, or that of a payment it repeats. */
export const hasReference = (reference: '$12' | '$13') => `exists (
      with recursive origin (id, repeats) as (
        select payments.id, payments.redrive_of
        union all
        select before.id, before.redrive_of
        from origin
        cross join lateral (
          select id, redrive_of
          from payments
          where shard = $1 and id = origin.repeats
          limit 1
        ) before
      )
      select
      from origin
      cross join lateral (
        select payment_id
        from payment_details
        where shard = $1 and payment_id = origin.id and reference = ${reference}::text
        limit 1
      ) said
    )`

/**
 * A page of one user's payments that match, newest first, from below the id `$2` down to `$3`.
 * Users and ids are compared as rows, so that only the index of users has this order.
 */
export const pageOfUser = (matches: string) => `
  select ${PAYMENT_COLUMNS}
  from payments
  where shard = $1 and (user_id, id) < ($11::bigint, $2::bigint)
    and (user_id, id) >= ($11::bigint, $3::bigint)
    and ${matches}
  order by user_id desc, id desc
  limit $6`

/** What a list of payments is filtered by; null: not. */
export interface PaymentFilter {
  readonly userId: bigint | null
  readonly status: StoredStatus | null
  readonly type: BookedType | null
  /** Refunds and returns of this payment. */
  readonly parentId: bigint | null
  readonly reference: string | null
  /** Of one user, whose id is given as well. */
  readonly idempotencyKey: string | null
  readonly gatewayRef: string | null
  /** Accepted at this time or later. */
  readonly from: Date | null
  /** Accepted before this time. */
  readonly to: Date | null
}
