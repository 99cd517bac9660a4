import { useFeed } from '../../app/feed.ts'
import type { Page, Payment, Timeline } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { Money, named, State } from '../../parts/basics.tsx'
import { words } from '../../words/words.ts'

/** The payment that this one is of, and its refunds and returns. */
export function Relatives({ payment, timeline }: { payment: Payment; timeline: Timeline }) {
  const w = words.value
  const { payment_id: id, user_id: user, parent_id: parent } = payment
  const may = payment.type === 'deposit' || payment.type === 'withdraw'
  const gave = may && (payment.status === 'success' || timeline.events.length > 0)
  const path = (type: string) => (gave ? `/payments?user_id=${user}&type=${type}&limit=100` : null)
  const refunds = useFeed<Page<Payment>>(path('refund')).known.value.data?.data ?? []
  const returns = useFeed<Page<Payment>>(path('return')).known.value.data?.data ?? []
  const children = [...refunds, ...returns].filter(({ parent_id: of }) => of === id)
  if (parent === null && children.length === 0) return null
  return (
    <section>
      <h2>{w.relatives}</h2>
      <ul class="relatives">
        {parent === null ? null : (
          <li>
            <a href={hrefOf('payments', parent)}>
              {w.of} {parent}
            </a>
            {payment.return_kind === null ? null : named(w.returnKinds, payment.return_kind)}
          </li>
        )}
        {children.map((child) => (
          <li key={child.payment_id}>
            <a href={hrefOf('payments', child.payment_id)}>
              {w.types[child.type]} {child.payment_id}
            </a>
            <Money amount={child.amount} currency={child.currency} />
            <State state={child.status} />
          </li>
        ))}
      </ul>
    </section>
  )
}
