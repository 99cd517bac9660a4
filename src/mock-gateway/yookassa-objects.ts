import type { Exponent } from '../domain/currency.ts'
import { formatMoney } from '../domain/money.ts'
import type { Clock } from '../ports.ts'

/** A status and a body. */
export interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** An amount in minor units. */
export interface Money {
  readonly minor: bigint
  readonly currency: string
  readonly exponent: Exponent
}

/** What is to be made. */
export interface Draft {
  readonly kind: 'payment' | 'refund' | 'payout'
  readonly money: Money
  readonly metadata: Readonly<Record<string, string>>
  readonly description: string | null
  /** Of a refund: its payment. */
  readonly parent: Made | null
  /** Of a payment: it waits for its payer, on a page that leads back here. */
  readonly returnUrl: string | null
  /** Of a payment: it is captured as soon as it is paid. */
  readonly capture: boolean
}

/** What becomes of what is made, by its faults. */
export interface Doing {
  readonly does: 'execute' | 'decline' | 'execute_late'
  readonly lateMs: number
}

/** An object; what it is now depends on the time. */
export interface Made extends Draft {
  readonly id: string
  readonly createdMs: number
  status: 'pending' | 'waiting_for_capture' | 'succeeded' | 'canceled'
  /** Why it was canceled. */
  reason: string | null
  /** When it succeeds by itself; null: it does not. */
  succeedsMs: number | null
  refunded: bigint
}

/** Everything that was made, in order. */
export interface Books {
  readonly clock: Clock
  readonly all: Map<string, Made>
  enter(draft: Draft, doing: Doing): Made
}

/** Empty books. */
export function yookassaBooks(clock: Clock): Books {
  const all = new Map<string, Made>()
  return {
    clock,
    all,
    enter(draft, { does, lateMs }) {
      const createdMs = clock.now().getTime()
      const waits = does === 'execute_late' || (does === 'execute' && draft.returnUrl !== null)
      const made: Made = {
        ...draft,
        id: idOf(all.size + 1),
        createdMs,
        status: 'pending',
        reason: null,
        succeedsMs: does === 'execute_late' ? createdMs + lateMs : null,
        refunded: 0n,
      }
      all.set(made.id, made)
      if (does === 'decline') cancel(made, 'insufficient_funds')
      else if (!waits) succeed(made)
      return made
    },
  }
}

/** As long as YooKassa's: 36 characters. */
function idOf(number: number): string {
  return `2e5e0000-000f-5000-8000-${number.toString(16).padStart(12, '0')}`
}

/** Paid; a payment that is not to be captured at once waits for that. */
export function succeed(made: Made): void {
  made.status = made.kind === 'payment' && !made.capture ? 'waiting_for_capture' : 'succeeded'
  made.succeedsMs = null
  if (made.parent !== null) made.parent.refunded += made.money.minor
}

export function cancel(made: Made, reason: string): void {
  made.status = 'canceled'
  made.reason = reason
  made.succeedsMs = null
}

/** How long a payer has. */
const PAYER_MS = 3_600_000

/** Let happen to an object what the time brings. */
export function settle({ clock }: Pick<Books, 'clock'>, made: Made): void {
  if (made.status !== 'pending') return
  const nowMs = clock.now().getTime()
  if (made.succeedsMs !== null && made.succeedsMs <= nowMs) return succeed(made)
  const forgotten = made.succeedsMs === null && nowMs - made.createdMs >= PAYER_MS
  if (forgotten && made.returnUrl !== null) cancel(made, 'expired_on_confirmation')
}

/** An object as it is told now. */
export function shown(books: Books, made: Made): Readonly<Record<string, unknown>> {
  settle(books, made)
  const { id, status, money, metadata, description, createdMs, reason } = made
  return {
    id,
    status,
    amount: moneyOf(money),
    ...(description === null ? {} : { description }),
    created_at: new Date(createdMs).toISOString(),
    metadata,
    ...(reason === null ? {} : { cancellation_details: { party: PARTIES[made.kind], reason } }),
    ...OWN[made.kind](made),
  }
}

const PARTIES = {
  payment: 'payment_network',
  refund: 'refund_network',
  payout: 'payout_network',
} as const

type Own = (made: Made) => Readonly<Record<string, unknown>>

/** What objects of a kind have beside what all have. */
const OWN: Readonly<Record<Made['kind'], Own>> = {
  payment: (made) => {
    const { id, status, money, refunded, returnUrl, createdMs } = made
    const succeeded = status === 'succeeded'
    const waits = status === 'pending' && returnUrl !== null && made.succeedsMs === null
    return {
      recipient: { account_id: '100500', gateway_id: '100700' },
      payment_method: { type: 'bank_card', id, saved: false, status: 'inactive' },
      paid: succeeded || status === 'waiting_for_capture',
      refundable: succeeded && refunded < money.minor,
      test: true,
      ...(succeeded ? { captured_at: new Date(createdMs).toISOString() } : {}),
      ...(succeeded ? { refunded_amount: moneyOf({ ...money, minor: refunded }) } : {}),
      ...(waits ? { confirmation: confirmationOf(id, returnUrl) } : {}),
    }
  },
  refund: ({ parent }) => ({ payment_id: parent?.id }),
  payout: ({ status, createdMs }) => ({
    payout_destination: { type: 'yoo_money', account_number: '410000000000000' },
    test: true,
    ...(status === 'succeeded' ? { succeeded_at: new Date(createdMs).toISOString() } : {}),
  }),
}

function confirmationOf(id: string, returnUrl: string) {
  const page = `https://payer.example/confirm?orderId=${id}`
  return { type: 'redirect', return_url: returnUrl, confirmation_url: page }
}

function moneyOf({ minor, currency, exponent }: Money) {
  return { value: formatMoney(minor, exponent), currency }
}

/** YooKassa's own error. */
export function failure(
  status: number,
  code: string,
  description: string,
  parameter?: string,
): Answer {
  const id = 'ab5a11cd-13cc-4e33-af8b-75a74e18dd09'
  const named = parameter === undefined ? {} : { parameter }
  return { status, body: { type: 'error', id, code, description, ...named } }
}
