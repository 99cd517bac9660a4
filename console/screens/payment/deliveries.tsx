import { useFeed } from '../../app/feed.ts'
import { may } from '../../app/session.ts'
import type { PaymentDelivery } from '../../app/shapes.ts'
import { words } from '../../words/words.ts'
import { DeliveryRow } from '../webhooks/delivery.tsx'

/** Who was told of a payment, and what they said: for those who may know. */
export function PaymentDeliveries({ id }: { id: string }) {
  const w = words.value
  const path = may('operate') ? `/payments/${id}/deliveries` : null
  const { data } = useFeed<{ data: readonly PaymentDelivery[] }>(path).known.value
  if (data === null || data.data.length === 0) return null
  return (
    <section class="told">
      <h2>{w.deliveries}</h2>
      <div class="deliveries">
        {data.data.map((delivery) => (
          <DeliveryRow
            key={`${delivery.event_id} ${delivery.endpoint_id}`}
            delivery={delivery}
            endpointId={delivery.endpoint_id}
            url={delivery.url}
          />
        ))}
      </div>
    </section>
  )
}
