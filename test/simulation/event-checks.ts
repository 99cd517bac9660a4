import type { EventRow } from './delivery-rows.ts'
import { must } from './promises.ts'
import type { PaymentRow, Tables } from './tables.ts'

/** Each change of a payment is told once, in order; an end as what it is, and so are letters. */
export function checkEvents(tables: Tables): void {
  const told = new Map<bigint, EventRow[]>()
  const letters = { opened: 0, closed: 0 }
  for (const event of tables.events.rows.values()) {
    if (event.type === 'dead_letter.opened') letters.opened += 1
    else if (event.type === 'dead_letter.closed') letters.closed += 1
    else {
      const own = told.get(event.paymentId) ?? []
      own.push(event)
      told.set(event.paymentId, own)
    }
  }
  for (const payment of tables.payments.rows.values())
    checkTold(payment, told.get(payment.id) ?? [])
  const closed = [...tables.letters.rows.values()].filter(({ state }) => state !== 'open').length
  must(letters.opened === tables.letters.rows.size, 'every letter is told once')
  must(letters.closed === closed, 'every end of a letter is told once')
}

function checkTold(payment: PaymentRow, own: readonly EventRow[]): void {
  const { status, type, refusedFor, transitions } = payment
  own.forEach(({ sequence }, index) => {
    must(sequence === index + 1, 'every change is told once, in order', payment)
  })
  must(own.length === transitions, 'every change is told', payment)
  // Whoever asked for what was refused has heard it, and what came back is told of its payment.
  if (refusedFor !== null || type === 'return')
    return must(own.length === 0, 'nobody told', payment)
  const ends = own.filter((one) => /succeeded|failed/.test(one.type)).map((one) => one.type)
  const due = status === 'success' ? ['payment.succeeded'] : []
  if (status === 'failed') due.push('payment.failed')
  must(ends.join() === due.join(), 'an end is told once, as what it is', payment)
}
