import { NoAnswer } from './errors.ts'
import { TIMER_MS_MAX } from './send.ts'
import type { ActOptions, Answer, CallOptions, Client, Done, OnceOptions } from './client.ts'
import { at } from './paths.ts'
import type {
  AcceptedDeposit,
  AcceptedRefund,
  AcceptedWithdrawal,
  CanceledPayment,
  Payment,
  Timeline,
} from './answers.ts'
import type {
  CancelRequest,
  DepositRequest,
  ListPayments,
  PaymentUpdate,
  RefundRequest,
  WithdrawalRequest,
} from './requests.ts'

/** How long to wait for a payment. */
export interface WaitOptions extends CallOptions {
  /** `success` and `failed` are final; `unknown` is not. */
  readonly until: 'final'
  /**
   * After about so long the payment is returned as it is; without it, this waits for its end. A
   * service that has not answered 5 seconds later is not waited for: that throws `NoAnswer`.
   */
  readonly timeoutMs?: number
}

/** What can be done with payments. */
export interface Payments {
  deposit(body: DepositRequest, options?: OnceOptions): Promise<Done<'payment', AcceptedDeposit>>
  withdraw(
    body: WithdrawalRequest,
    options?: OnceOptions,
  ): Promise<Done<'payment', AcceptedWithdrawal>>
  /** Refund a successful deposit, or a part of it. */
  refund(
    id: number,
    body: RefundRequest,
    options?: OnceOptions,
  ): Promise<Done<'payment', AcceptedRefund>>
  /** Cancel a payment of which nothing was sent, or which its gateway has not finished. */
  cancel(
    id: number,
    body: CancelRequest,
    options?: ActOptions,
  ): Promise<Done<'payment', CanceledPayment>>
  get(id: number, options?: CallOptions): Promise<Answer<'payment', Payment>>
  /** The payment when it is final. */
  wait(id: number, options: WaitOptions): Promise<Answer<'payment', Payment>>
  update(
    id: number,
    body: PaymentUpdate,
    options?: CallOptions & { readonly actor?: string },
  ): Promise<Answer<'payment', Payment>>
  /** Everything that is known of a payment, and why it is in its state. */
  timeline(id: number, options?: CallOptions): Promise<Answer<'timeline', Timeline>>
  /** Payments, newest first; pages are fetched as they are needed. */
  list(filter?: ListPayments, options?: CallOptions): AsyncGenerator<Payment>
}

/** Seconds that the service waits at most before it answers. */
const WAIT_MAX = 20

export function paymentsOf(client: Client): Payments {
  return {
    deposit: (body, options) => client.once('payment', '/payments/deposit', body, options),
    withdraw: (body, options) => client.once('payment', '/payments/withdraw', body, options),
    refund: async (id, body, options) =>
      client.once('payment', at`/payments/${id}/refunds`, body, options),
    cancel: async (id, body, options) =>
      client.once('payment', at`/payments/${id}/cancel`, body, options),
    get: async (id, options) => client.read('payment', at`/payments/${id}`, options),
    wait: (id, options) => wait(client, id, options),
    update: async (id, body, options) =>
      client.change('payment', at`/payments/${id}`, body, options),
    timeline: async (id, options) => client.read('timeline', at`/payments/${id}/timeline`, options),
    list: (filter = {}, options) => client.pages('/payments', filter, options),
  }
}

/** How long an answer may take behind the end of a wait. */
const GRACE_MS = 5_000

async function wait(
  client: Client,
  id: number,
  { timeoutMs = Infinity, signal: given }: WaitOptions,
): Promise<Answer<'payment', Payment>> {
  const limit = limited(timeoutMs + GRACE_MS, given)
  try {
    return await waitUntil(client, id, timeoutMs, limit.signal)
  } finally {
    limit.clear()
  }
}

/** A signal that ends with another, or after so long: then the service has given no answer. */
function limited(ms: number, given: AbortSignal | undefined) {
  const over = new AbortController()
  const stop = () => over.abort(given?.reason)
  const late = () => over.abort(new NoAnswer(new Error('the service took too long')))
  const timer = ms > TIMER_MS_MAX ? undefined : setTimeout(late, ms)
  given?.addEventListener('abort', stop)
  if (given?.aborted === true) stop()
  return {
    signal: over.signal,
    clear() {
      clearTimeout(timer)
      given?.removeEventListener('abort', stop)
    },
  }
}

async function waitUntil(
  client: Client,
  id: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Answer<'payment', Payment>> {
  const endMs = client.nowMs() + timeoutMs
  for (;;) {
    const left = Math.ceil((endMs - client.nowMs()) / 1_000)
    const seconds = Math.max(0, Math.min(WAIT_MAX, left))
    const answer = await client.read<'payment', Payment>('payment', at`/payments/${id}`, {
      signal,
      query: { wait: seconds },
      waitMs: seconds * 1_000,
    })
    // By the time that went by: a busy service may answer sooner than it was asked to.
    if (!answer.ok || isFinal(answer.payment) || client.nowMs() >= endMs) return answer
    await client.rest(signal)
    signal.throwIfAborted()
  }
}

/** Whether a payment will stay as it is. */
export function isFinal({ status }: Pick<Payment, 'status'>): boolean {
  return status === 'success' || status === 'failed'
}
