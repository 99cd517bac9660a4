import { getFromGateway, send } from '../../app/api.ts'
import { go } from '../../app/router.ts'
import { may } from '../../app/session.ts'
import type { Payment, Timeline } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { exponentOf, fromMinor } from '../../exact/money.ts'
import { ask, perform } from '../../parts/dialog.tsx'
import { money, typedAmount, words } from '../../words/words.ts'
import { refusedHere } from '../../exact/answer.ts'
import { insisted, insistField, reasonField } from '../../parts/asking.ts'
import { Booking, leftOf } from './booking.tsx'

/** What can be done with a payment; each button says first what it will do. */
export function Acts({ payment, timeline }: { payment: Payment; timeline: Timeline }) {
  const w = words.value
  const { status } = payment
  const letter = openLetter(timeline)
  const pending = status === 'pending'
  const open = pending || status === 'new' || status === 'processing'
  const sent = timeline.events.some(
    ({ sent: left, event }) => left === true || event === 'worker_lost',
  )
  const left = leftToRefund(payment)
  return (
    <div class="acts">
      {may('write') && (open || status === 'unknown') ? (
        <button type="button" onClick={() => void refresh(payment)}>
          {w.refresh}
        </button>
      ) : null}
      {may('operate') && (pending || (open && !sent)) ? (
        <button type="button" onClick={() => askCancel(payment)}>
          {w.cancel}
        </button>
      ) : null}
      {may('refund') && left > 0n ? (
        <button type="button" onClick={() => askRefund(payment, left)}>
          {w.refund}
        </button>
      ) : null}
      {may('operate') && letter !== null ? (
        <>
          <button type="button" onClick={() => askRedrive(payment, letter)}>
            {w.redrive}
          </button>
          {status === 'unknown' ? (
            <button type="button" onClick={() => askResolve(payment, letter)}>
              {w.resolve}
            </button>
          ) : null}
        </>
      ) : null}
      <Booking payment={payment} timeline={timeline} />
    </div>
  )
}

/** The dead letter that waits for somebody; null: there is none. */
function openLetter({ events }: Timeline): number | null {
  const of = (name: string) => events.filter(({ event }) => event === name)
  const closed = new Set(
    [...of('dead_letter_closed'), ...of('redrive'), ...of('resolve'), ...of('correct')].map(
      ({ letter_id: id }) => id,
    ),
  )
  return of('dead_letter').findLast(({ letter_id: id }) => !closed.has(id))?.letter_id ?? null
}

function leftToRefund(payment: Payment): bigint {
  return payment.type === 'deposit' && payment.status === 'success' ? leftOf(payment) : 0n
}

function refresh({ payment_id: id }: Payment): Promise<unknown> {
  return perform(words.value.refresh, getFromGateway(`/payments/${id}?refresh=true`))
}

function askCancel({ payment_id: id, amount, currency, type, status }: Payment): void {
  const w = words.value
  const held = type !== 'deposit'
  const says = status === 'pending' ? w.cancelPendingSays : w.cancelSays
  ask({
    title: w.cancelTitle(id),
    says: says(`${money(amount, currency)} ${currency}`, held),
    fields: [reasonField()],
    verb: w.cancel,
    danger: true,
    run: ({ reason = '' }, key) => send('POST', `/payments/${id}/cancel`, { reason }, key),
  })
}

function askRefund({ payment_id: id, currency }: Payment, left: bigint): void {
  const w = words.value
  const most = fromMinor(left, exponentOf(currency))
  ask({
    title: w.refundTitle(id),
    says: w.refundSays(`${money(most, currency)} ${currency}`),
    fields: [
      { name: 'amount', label: `${w.amount}, ${currency}`, initial: most, hint: w.refundHint },
      reasonField(),
    ],
    verb: w.refund,
    danger: true,
    run: async ({ amount = '', reason = '' }, key) => {
      const read = typedAmount(amount, currency)
      if (read === null) return refusedHere(w.amountBad(currency))
      return send('POST', `/payments/${id}/refunds`, { amount: read, reason }, key)
    },
    done: (made) => go(hrefOf('payments', (made as { payment_id: number }).payment_id)),
  })
}

function askRedrive({ payment_id: id, amount, currency, status }: Payment, letter: number): void {
  const w = words.value
  const sum = `${money(amount, currency)} ${currency}`
  ask({
    title: w.redriveTitle(id),
    says: status === 'unknown' ? w.redriveUnknownSays(sum) : w.redriveFailedSays(sum),
    fields: [insistField('maybe_executed'), reasonField()],
    verb: w.redrive,
    run: ({ reason = '', insist }, key) => {
      return send('POST', `/dlq/${letter}/redrive`, { reason, ...insisted(insist) }, key)
    },
    done: (made) => {
      const { new_payment_id: repeat } = made as { new_payment_id: number | null }
      if (repeat !== null) go(hrefOf('payments', repeat))
    },
  })
}

function askResolve({ payment_id: id, amount, currency }: Payment, letter: number): void {
  const w = words.value
  ask({
    title: w.resolveTitle(id),
    says: w.resolveSays(`${money(amount, currency)} ${currency}`),
    fields: [
      {
        name: 'outcome',
        label: w.resolveOutcome,
        choices: [
          ['success', w.resolveSuccess],
          ['failed', w.resolveFailed],
        ],
      },
      { name: 'gateway_ref', label: w.gatewayRef, optional: true, hint: w.resolveRefHint },
      insistField('evidence_contradicts'),
      reasonField(),
    ],
    verb: w.resolve,
    danger: true,
    run: ({ outcome = '', gateway_ref: ref = '', reason = '', insist }, key) => {
      const told = { ...(ref === '' ? {} : { gateway_ref: ref }), ...insisted(insist) }
      return send('POST', `/dlq/${letter}/resolve`, { outcome, reason, ...told }, key)
    },
  })
}
