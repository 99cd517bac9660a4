import { toWire } from '../../src/domain/money.ts'
import type { Clock } from '../../src/ports.ts'
import { describe, each, paymentBody, type Client, type Reply } from '../client.ts'
import { OPENING, type Planned } from './plan.ts'

/** The payment service as the demo uses it. */
export interface Drive {
  readonly api: Client
  readonly clock: Clock
  readonly clients: number
}

/** A number of the API as `readExactJson` reads it: a text where a double might lose digits. */
export type Wire = number | string

/** A payment as `GET /payments/{id}` shows it. */
export interface Seen {
  readonly payment_id: number
  readonly user_id: number
  readonly type: 'deposit' | 'withdraw'
  readonly amount: Wire
  readonly commission: Wire
  readonly status: 'new' | 'processing' | 'success' | 'failed' | 'unknown'
  readonly attempts: number
  readonly gateway_ref: string | null
}

/** What came of asking for the payments. */
export interface Accepted {
  /** Ids the service promised to carry out. */
  readonly ids: readonly number[]
  /** Payments refused with 402. */
  readonly refused: number
  /** Requests sent a second time, and how many of those got another answer than the first. */
  readonly repeated: number
  readonly repeatedDifferently: number
  /** Answers that are neither 202 nor the 402 that was called for, by what they were. */
  readonly wrong: ReadonlyMap<string, number>
  /** Of every request, in ascending order. */
  readonly latenciesMs: readonly number[]
  readonly tookMs: number
}

/** Open the demo's users and return their ids. */
export async function openUsers(drive: Drive, count: number): Promise<number[]> {
  const ids: number[] = []
  const body = { balance: toWire(OPENING, 2) }
  const all = Array.from({ length: count }, (_, index) => index)
  await each(all, drive.clients, async (index) => {
    const reply = await drive.api.post('/api/v1/users', body)
    if (reply.status !== 201) throw new Error(`A new user was answered with ${describe(reply)}.`)
    ids[index] = (reply.body as { id: number }).id
  })
  return ids
}

/** Ask for all payments, `clients` at a time. `onDone` is told of each. */
export async function accept(
  drive: Drive,
  userIds: readonly number[],
  payments: readonly Planned[],
  onDone: () => void,
): Promise<Accepted> {
  const ids: number[] = []
  const latenciesMs: number[] = []
  const wrong = new Map<string, number>()
  const counts = { refused: 0, repeated: 0, repeatedDifferently: 0 }
  const ask = async (payment: Planned): Promise<Reply> => {
    const startedMs = drive.clock.elapsedMs()
    const reply = await post(drive, userIds[payment.user] ?? 0, payment)
    latenciesMs.push(drive.clock.elapsedMs() - startedMs)
    return reply
  }
  const startedMs = drive.clock.elapsedMs()
  await each(payments, drive.clients, async (payment) => {
    const first = await ask(payment)
    if (first.status === 202 && !payment.tooLarge) ids.push(idOf(first))
    else if (first.status === 402) counts.refused += 1
    else wrong.set(describe(first), (wrong.get(describe(first)) ?? 0) + 1)
    if (payment.repeated) {
      counts.repeated += 1
      if (!isReplay(first, await ask(payment))) counts.repeatedDifferently += 1
    }
    onDone()
  })
  const tookMs = drive.clock.elapsedMs() - startedMs
  latenciesMs.sort((one, other) => one - other)
  return { ids, ...counts, wrong, latenciesMs, tookMs }
}

function post({ api }: Drive, userId: number, payment: Planned): Promise<Reply> {
  const { type, key, amount } = payment
  return api.post(`/api/v1/payments/${type}`, paymentBody(type, userId, toWire(amount, 2)), key)
}

function idOf(reply: Reply): number {
  return (reply.body as { payment_id: number }).payment_id
}

function isReplay(first: Reply, second: Reply): boolean {
  return (
    second.status === first.status &&
    second.headers['idempotent-replayed'] === 'true' &&
    answerOf(second) === answerOf(first)
  )
}

/** All of an answer but `instance`, which names the request that got it. */
function answerOf({ body }: Reply): string {
  return JSON.stringify(body, (name, value: unknown) => (name === 'instance' ? undefined : value))
}

/** Between two looks at payments that are still open. */
const LOOK_MS = 200
/** When nothing moved for this long, the rest counts as lost: longer than a lease and a backoff. */
const STALL_MS = 120_000

/**
 * Look at the payments until each is final or `unknown`, or nothing moves any more. Returns what
 * was seen last, by id; one that is not there at all is missing.
 */
export async function settle(
  drive: Drive,
  ids: readonly number[],
  onSettled: (count: number) => void,
): Promise<Map<number, Seen>> {
  const seen = new Map<number, Seen>()
  let open = ids
  let movedMs = drive.clock.elapsedMs()
  while (open.length > 0 && drive.clock.elapsedMs() - movedMs < STALL_MS) {
    await each(open, drive.clients, async (id) => {
      const reply = await drive.api.get(`/api/v1/payments/${id}`)
      if (reply.status === 200) seen.set(id, reply.body as Seen)
    })
    const left = open.filter((id) => !isSettled(seen.get(id)))
    if (left.length < open.length) movedMs = drive.clock.elapsedMs()
    onSettled(open.length - left.length)
    open = left
    if (open.length > 0) await drive.clock.sleep(LOOK_MS)
  }
  return seen
}

/** Final, or in doubt: nothing that can be waited for. */
export function isSettled(payment: Seen | undefined): boolean {
  const status = payment?.status
  return status === 'success' || status === 'failed' || status === 'unknown'
}
