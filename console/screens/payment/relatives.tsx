import { useFeed } from '../../app/feed.ts'
import type { Page, Payment } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { Money, named, State } from '../../parts/basics.tsx'
import { words } from '../../words/words.ts'

/** So many are listed on the screen of a payment; there is a list of all. */
const LIMIT = 50

/** The payment that this one is of, and its refunds and returns. */
export function Relatives({ payment }: { payment: Payment }) {
  const w = words.value
  const { payment_id: id, parent_id: parent } = payment
  const may = payment.type === 'deposit' || payment.type === 'withdraw'
  const path = `/payments?parent_id=${id}&limit=${LIMIT}`
  const { data: page } = useFeed<Page<Payment>>(may ? path : null).known.value
  const children = page?.data ?? []
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
      {page === null || page.next_cursor === null ? null : (
        <p class="quiet note">
          <a href={hrefOf('payments', null, { parent_id: String(id) })}>{w.showAllOf}</a>
        </p>
      )}
    </section>
  )
}
