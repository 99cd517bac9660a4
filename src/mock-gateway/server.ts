import type { Exponent } from '../domain/currency.ts'
import { seededRandom } from '../domain/random.ts'
import type { Clock } from '../ports.ts'
import { draw, FAULTS_DEFAULT, changeFaults, type Faults, type Changed } from './faults.ts'
import { decimalsOf, refundableOf, returnableOf, type Returned } from './given-back.ts'
import { openJournal } from './journal.ts'
import type { Act, Audit, Seen } from './journal.ts'
import type { Charge, Order } from './orders.ts'
import type { Face } from './face.ts'
import type { Answer as PayersAnswer } from './payer-routes.ts'
import { stripeFace } from './stripe-face.ts'
import { answer, EFFECTS, lookupBody, refusal, show, type Effect, type Reply } from './replies.ts'
import { yookassaFace } from './yookassa-face.ts'

/** A gateway to test against: it charges nobody, fails as told, and remembers everything. */
export interface MockGateway {
  /** Settle an order, once per key, and say how the reply goes out. Never throws. */
  pay(order: Order): Reply
  /** What became of the order sent under `key`. Never disagrees with the journal. */
  lookup(key: string): Reply
  /** End the order under `key` if it waits for its payer, and say what it is afterwards. */
  cancel(key: string): Reply
  /** The order that waits for its payer under a key. */
  asked(key: string): Order | undefined
  /** Its payer has answered; false: it does not wait any more. */
  decide(key: string, answer: PayersAnswer): boolean
  /** Resolves after `ms` milliseconds, or as soon as the gateway closes. */
  hold(ms: number): Promise<void>
  faults(): Faults
  /** Change faults while it runs. Naming `seed` starts chance anew. */
  setFaults(change: Readonly<Record<string, unknown>>): Changed
  /** Put every fault back to where it started; the seed stays as it is. */
  resetFaults(): Faults
  requests(limit: number, offset: number): readonly Seen[]
  audit(): Audit
  /** Executed charges in order, behind the first `after` of them. */
  executed(after: number, limit: number): readonly Charge[]
  /**
   * Make a payment come back; null: all that can. Returns how much could have where that is less,
   * and null when the journal cannot be written.
   */
  comeBack(kind: Returned['kind'], paymentId: number, amount: bigint | null): ComeBack | null
  /** What came back, in order, behind the first `after`. */
  returned(after: number, limit: number): readonly Returned[]
  /** What came back of a payment. */
  cameBack(paymentId: number): readonly Returned[]
  /** How many decimals the amounts of a payment have; null: it was never charged here. */
  decimalsOf(paymentId: number): Exponent | null
  /** The same gateway in the words of Stripe's API: payment intents, refunds, transfers. */
  readonly stripe: Face
  /** The same in the words of YooKassa's: payments, refunds, payouts. */
  readonly yookassa: Face
  /** Forget every charge and request, and start chance anew. The faults stay. */
  reset(): void
  /** Let go of held replies and drop late charges. Later orders are answered with 503. */
  close(): void
}

/** What became of the wish that a payment comes back. */
type ComeBack =
  | { readonly ok: true; readonly returned: Returned }
  | { readonly ok: false; readonly atMost: bigint }

/** What all operations share. */
interface State {
  readonly clock: Clock
  readonly journal: ReturnType<typeof openJournal>
  /** Orders taken that execute later; keys among them answer `pending`. */
  readonly late: Map<NodeJS.Timeout, { readonly order: Order; readonly dueMs: number }>
  readonly lateKeys: Set<string>
  /** Orders that wait for their payers, by key. */
  readonly asking: Map<string, Order>
  readonly onDecided: (order: Order) => void
  readonly pageUrl: (key: string) => string
  faults: Faults
  random: () => number
  /** Lookups have their own chance: how often they come depends on timing. */
  lookupRandom: () => number
  closed: boolean
}

/**
 * A mock gateway whose faults start at `faults` over the defaults. With `journalPath` its charges
 * survive a restart. Throws if that file cannot be opened or a fault cannot be set so.
 */
export function mockGateway(options: {
  readonly clock: Clock
  readonly seed?: number
  readonly faults?: Partial<Faults>
  readonly journalPath?: string
  /** Where it is, for pages. */
  readonly url?: () => string
  /** Told when a payer has answered or something came back: a notice may be sent. */
  readonly onDecided?: (order: Order) => void
}): MockGateway {
  const seed = options.seed === undefined ? {} : { seed: options.seed }
  const changed = changeFaults(FAULTS_DEFAULT, { ...options.faults, ...seed })
  if (!changed.ok) throw new Error(`mock gateway: ${JSON.stringify(changed.problems)}`)
  const state: State = {
    clock: options.clock,
    journal: openJournal(options.journalPath),
    late: new Map(),
    lateKeys: new Set(),
    asking: new Map(),
    onDecided: options.onDecided ?? (() => undefined),
    pageUrl: (key) => `${options.url?.() ?? ''}/pages/${encodeURIComponent(key)}`,
    faults: changed.faults,
    ...chances(changed.faults.seed),
    closed: false,
  }
  const holds = holding()
  const around = {
    clock: options.clock,
    faults: () => state.faults,
    draw: () => draw(state.faults, state.random),
  }
  const stripe = stripeFace(around)
  const yookassa = yookassaFace(around)
  return {
    pay: (order) => pay(state, order),
    lookup: (key) => lookup(state, key),
    cancel: (key) => cancel(state, key),
    asked: (key) => state.asking.get(key),
    decide: (key, said) => decide(state, key, said),
    hold: holds.hold,
    faults: () => state.faults,
    setFaults: (change) => setFaults(state, change),
    resetFaults: () => (state.faults = { ...changed.faults, seed: state.faults.seed }),
    requests: (limit, offset) => state.journal.requests(limit, offset),
    audit: () => state.journal.audit(),
    executed: (after, limit) => state.journal.executed(after, limit),
    comeBack: (kind, paymentId, amount) => comeBack(state, { kind, paymentId }, amount),
    returned: (after, limit) => state.journal.returned(after, limit),
    cameBack: (paymentId) => state.journal.givenBack(paymentId).returns,
    decimalsOf: (paymentId) => {
      const { charge } = state.journal.givenBack(paymentId)
      return charge === null ? null : decimalsOf(charge)
    },
    stripe,
    yookassa,
    reset() {
      reset(state)
      stripe.reset()
      yookassa.reset()
    },
    close() {
      if (state.closed) return
      state.closed = true
      dropLate(state)
      holds.release()
      state.journal.close()
    },
  }
}

function chances(seed: number): Pick<State, 'random' | 'lookupRandom'> {
  return { random: seededRandom(seed), lookupRandom: seededRandom(seed ^ 0x5bd1e995) }
}

function pay(state: State, order: Order): Reply {
  if (state.closed) return refusal('closing', 0, order.key)
  const { clock, journal } = state
  const plan = draw(state.faults, state.random)
  const note = (act: Act): void => {
    journal.note({ ...order, at: clock.now(), act, fault: plan.fault })
  }
  const known = order.key === null ? undefined : journal.find(order.key)
  if (known !== undefined && !isSame(known, order)) {
    note('conflict')
    return refusal('idempotency_key_reuse', plan.latencyMs, order.key)
  }
  if (order.key !== null && state.lateKeys.has(order.key)) {
    note('in_progress')
    return refusal('in_progress', plan.latencyMs, order.key)
  }
  if (known === undefined && isRefundOfNothing(state, order)) {
    note('nothing')
    return refusal('unknown_charge', plan.latencyMs, order.key)
  }
  const effect = EFFECTS[plan.fault ?? 'none']
  const done = carryOut(state, order, effect, known)
  note(done?.act ?? 'nothing')
  if (done === null) return refusal('journal_unavailable', plan.latencyMs, order.key)
  if (done.act === 'asked') return asking(state, order.key ?? '', plan.latencyMs)
  return show({ faults: state.faults, plan, key: order.key }, effect, done.charge)
}

/**
 * Do what the effect says, except that what was settled under this key stays as it is. Null if the
 * journal could not be written: then nothing happened.
 */
function carryOut(
  state: State,
  order: Order,
  effect: Effect,
  known: Charge | undefined,
): { readonly act: Act; readonly charge: Charge | undefined } | null {
  // Whoever waits for a payer goes on waiting, whatever the faults say now.
  if (state.asking.has(order.key ?? '')) return { act: 'asked', charge: undefined }
  if (effect.does === 'nothing') return { act: 'nothing', charge: known }
  if (known !== undefined) return { act: 'replayed', charge: known }
  if (effect.does === 'execute_late') {
    executeLate(state, order)
    return { act: 'will_execute', charge: undefined }
  }
  // Only the payer of a deposit can be asked.
  if (effect.does === 'ask' && order.type === 'deposit' && order.key !== null) {
    state.asking.set(order.key, order)
    return { act: 'asked', charge: undefined }
  }
  const charge = settle(state, order, effect.does === 'decline' ? 'declined' : 'executed')
  return charge === null ? null : { act: charge.outcome, charge }
}

/** A refund of what was never charged here is no request that could be carried out. */
function isRefundOfNothing({ journal }: State, { type, parentId = 0 }: Order): boolean {
  return type === 'refund' && refundableOf(journal.givenBack(parentId)) === null
}

/** A refund of more than is left is declined when it is carried out. */
function settle(
  state: State,
  order: Order,
  wanted: Charge['outcome'],
  code?: string,
): Charge | null {
  const { type, parentId = 0, amount } = order
  const left = type === 'refund' ? (refundableOf(state.journal.givenBack(parentId)) ?? 0n) : amount
  const outcome = amount <= left ? wanted : 'declined'
  try {
    return state.journal.settle(order, outcome, state.clock.now(), code)
  } catch {
    // The disk is full or gone. A charge that is not in the journal did not happen.
    return null
  }
}

/** A key among the late orders is refused until its time has come: it cannot be settled before. */
function executeLate(state: State, order: Order): void {
  const { late_ms: lateMs } = state.faults
  const timer = setTimeout(() => executeNow(state, timer, order), lateMs)
  state.late.set(timer, { order, dueMs: state.clock.now().getTime() + lateMs })
  if (order.key !== null) state.lateKeys.add(order.key)
}

function executeNow(state: State, timer: NodeJS.Timeout, order: Order): void {
  forgetLate(state, timer, order)
  settle(state, order, 'executed')
}

/** Execute what is due by the clock, which may have been set forward. */
function catchUp(state: State): void {
  const nowMs = state.clock.now().getTime()
  for (const [timer, { order, dueMs }] of state.late) {
    if (dueMs <= nowMs) executeNow(state, timer, order)
  }
}

function forgetLate(state: State, timer: NodeJS.Timeout, order: Order): void {
  clearTimeout(timer)
  state.late.delete(timer)
  if (order.key !== null) state.lateKeys.delete(order.key)
}

function dropLate(state: State): void {
  state.asking.clear()
  for (const [timer, { order }] of state.late) forgetLate(state, timer, order)
}

function lookup(state: State, key: string): Reply {
  const afterMs = state.faults.latency_ms
  const fails = state.lookupRandom() < state.faults.lookup_errors
  if (state.closed) return refusal('closing', 0)
  if (fails) return refusal('bad_gateway', afterMs)
  if (state.lateKeys.has(key)) catchUp(state)
  const charge = state.journal.find(key)
  if (charge !== undefined) {
    const given = state.journal.givenBack(charge.paymentId)
    return answer(200, lookupBody(charge, given), afterMs)
  }
  if (state.asking.has(key)) return asking(state, key, afterMs, 200)
  if (!state.lateKeys.has(key)) return refusal('not_found', afterMs, key)
  return answer(200, { status: 'pending', idempotency_key: key }, afterMs)
}

/** It waits for its payer, who has a page. */
function asking({ pageUrl }: State, key: string, afterMs: number, status = 202): Reply {
  const action = { type: 'redirect', url: pageUrl(key) } as const
  return answer(status, { status: 'pending', idempotency_key: key, action }, afterMs)
}

function decide(state: State, key: string, said: PayersAnswer): boolean {
  const order = state.asking.get(key)
  if (order === undefined || state.closed) return false
  const [outcome, code] = said === 'yes' ? YES : NO
  if (settle(state, order, outcome, code) === null) return false
  state.asking.delete(key)
  state.onDecided(order)
  return true
}

const YES = ['executed', undefined] as const
const NO = ['declined', 'authentication_failed'] as const

/** What does not wait for its payer goes on as it is. */
function cancel(state: State, key: string): Reply {
  const order = state.asking.get(key)
  if (order !== undefined && !state.closed) {
    if (settle(state, order, 'declined', 'canceled') !== null) state.asking.delete(key)
  }
  return lookup(state, key)
}

function isSame(charge: Charge, order: Order): boolean {
  return (
    charge.paymentId === order.paymentId &&
    charge.userId === order.userId &&
    charge.amount === order.amount &&
    charge.commission === order.commission &&
    charge.type === order.type &&
    charge.parentId === order.parentId &&
    charge.currency === order.currency
  )
}

function comeBack(
  { journal, clock, onDecided }: State,
  { kind, paymentId }: Pick<Returned, 'kind' | 'paymentId'>,
  wanted: bigint | null,
): ComeBack | null {
  const given = journal.givenBack(paymentId)
  const atMost = returnableOf(given, kind)
  const amount = wanted ?? atMost
  if (amount <= 0n || amount > atMost) return { ok: false, atMost }
  const { currency } = given.charge ?? {}
  const of = { paymentId, amount, ...(currency === undefined ? {} : { currency }) }
  const at = clock.now()
  try {
    const returned = journal.giveBack({ ...of, kind }, at)
    journal.note({ ...of, at, key: null, type: 'return', act: 'returned', fault: null })
    if (given.charge !== null) onDecided(given.charge)
    return { ok: true, returned }
  } catch {
    return null
  }
}

function setFaults(state: State, change: Readonly<Record<string, unknown>>): Changed {
  const changed = changeFaults(state.faults, change)
  if (!changed.ok) return changed
  state.faults = changed.faults
  if (change.seed !== undefined) Object.assign(state, chances(changed.faults.seed))
  return changed
}

function reset(state: State): void {
  if (state.closed) return
  dropLate(state)
  state.journal.clear()
  Object.assign(state, chances(state.faults.seed))
}

/** Waits that can all be ended at once. */
function holding() {
  const held = new Map<NodeJS.Timeout, () => void>()
  let released = false
  return {
    hold(ms: number): Promise<void> {
      if (released || ms <= 0) return Promise.resolve()
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          held.delete(timer)
          resolve()
        }, ms)
        held.set(timer, resolve)
      })
    },
    release(): void {
      released = true
      for (const [timer, resolve] of held) {
        clearTimeout(timer)
        resolve()
      }
      held.clear()
    },
  }
}
