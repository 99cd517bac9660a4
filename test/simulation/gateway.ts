import type { ChargeOutcome, LookupOutcome } from '../../src/domain/outcome.ts'
import type { confirms } from '../../src/domain/reply-outcome.ts'
import type { Promises } from '../../src/domain/charge-decision.ts'
import type { GatewayOperation } from '../../src/domain/gateway-profile.ts'
import type { Evidence, Gateway } from '../../src/ports.ts'
import type { Faults } from './faults.ts'
import { pageFirst } from './kept-connection.ts'
import type { Process, Scheduler } from './scheduler.ts'
import { profileOf } from '../profiles.ts'

/** What the gateway knows of one key. */
type Known = 'pending' | 'success' | 'declined'

/** What the gateway executed once: whose key it was under, how much, and of a refund, of what. */
interface Execution {
  readonly key: string
  readonly amount: bigint
  readonly parent: bigint | null
}

/** The gateway's own witness: what it executed, whatever anybody was told. */
export interface Journal {
  /** Every execution, by payment: more than one entry is a double charge. */
  readonly executed: ReadonlyMap<bigint, readonly Execution[]>
  /**
   * Charge calls made, by payment, without those that were provably not executed, and those whose
   * refusal may be another's where such a one uses up nothing.
   */
  readonly calls: ReadonlyMap<bigint, number>
  /** As which gateways it was asked about each payment. */
  readonly asked: ReadonlyMap<bigint, ReadonlySet<string>>
  /** Payments that it executed so late that its own profile no longer held. */
  readonly broken: ReadonlySet<bigint>
  /** What it knows of a key. */
  known(key: string): Known | undefined
  /** Charges that are still under way in the network. */
  underway(): number
}

export interface HostileGateway {
  readonly journal: Journal
  /** The gateway as one process calls it. */
  connect(process: Process, name: string): Gateway
}

export interface GatewayWorld {
  readonly steps: Pick<Scheduler, 'nowMs' | 'step' | 'wakeable' | 'spawn' | 'pause'>
  readonly faults: Faults
  readonly profile: Promises
  /** Our side hangs up after this. */
  readonly callMsMax: number
  readonly graceMs: number
  /** What proves whose a page is that names nobody. */
  readonly proves: typeof confirms
  /** While a payment is young, such a page that proves nothing uses up nothing. */
  readonly spares: boolean
}

type Charged = Evidence<ChargeOutcome>

const TIMEOUT: Charged = {
  outcome: { kind: 'in_doubt', reason: 'timeout' },
  sent: true,
  httpStatus: null,
}

/** What a gateway has in hand, and what it has done. */
interface State {
  readonly world: GatewayWorld
  /** Whether a repeated key is known. */
  readonly keyed: boolean
  readonly network: Process
  readonly known: Map<string, Known>
  readonly firstUsedMs: Map<string, number>
  readonly executed: Map<bigint, Execution[]>
  readonly calls: Map<bigint, number>
  readonly broken: Set<bigint>
  /** Keys of what it ended because it was asked to. */
  readonly ended: Set<string>
  readonly asked: Map<bigint, Set<string>>
  underway: number
  pagesUntilMs: number
}

/**
 * A gateway that keeps its declared profile and nothing else: replies get lost, charges arrive
 * twice or late, errors and refusals come before or after executing, and for a while somebody in
 * between answers instead. It honours a key where it is declared to, for as long as it is declared
 * to, and keeps a journal of its own.
 */
export function hostileGateway(world: GatewayWorld): HostileGateway {
  const { steps, profile } = world
  const state: State = {
    world,
    keyed: profile.repeats !== 'may_execute_again',
    network: steps.spawn('network'),
    known: new Map(),
    firstUsedMs: new Map(),
    executed: new Map(),
    calls: new Map(),
    broken: new Set(),
    ended: new Set(),
    asked: new Map(),
    underway: 0,
    pagesUntilMs: Number.NEGATIVE_INFINITY,
  }
  const { executed, calls, broken, known } = state
  return {
    journal: {
      executed,
      calls,
      broken,
      asked: state.asked,
      known: (key) => known.get(key),
      underway: () => state.underway,
    },
    connect: (process, name) => ({
      profile: profileOf(profile, { name }),
      close: () => Promise.resolve(),
      async execute(request) {
        const { paymentId } = request
        note(state, paymentId, name)
        calls.set(paymentId, (calls.get(paymentId) ?? 0) + 1)
        const reply = answer(state, request, process)
        const made = (await withDeadline(world, process, reply)) ?? TIMEOUT
        const { kind } = made.outcome
        const counts = 'unproven' in made.outcome && kind !== 'misconfigured' && !world.spares
        if (REFUSED.has(kind) && !counts) {
          calls.set(paymentId, (calls.get(paymentId) ?? 1) - 1)
        }
        return made
      },
      async lookup(request) {
        note(state, request.paymentId, name)
        return (await withDeadline(world, process, look(state, request))) ?? noAnswer('timeout')
      },
      async cancel(request) {
        note(state, request.paymentId, name)
        return (await withDeadline(world, process, end(state, request))) ?? noAnswer('timeout')
      },
    }),
  }
}

/** Note as which gateway it was asked. */
function note({ asked }: State, paymentId: bigint, name: string): void {
  asked.set(paymentId, (asked.get(paymentId) ?? new Set()).add(name))
}

/** Whether whoever stands in between answers, and the gateway hears nothing. */
function intercepted(state: State): boolean {
  const { steps, faults, graceMs } = state.world
  if (faults.fires('pages')) {
    state.pagesUntilMs = steps.nowMs() + faults.between(1_000, 2 * graceMs)
  }
  return steps.nowMs() < state.pagesUntilMs && !faults.over()
}

/** Decide a charge for the first time; where keys are not honoured, each time. */
function decide({ world, known, executed }: State, request: GatewayOperation): void {
  const { key, paymentId, amount } = request
  const parent = request.parent?.paymentId ?? null
  if (!world.faults.fires('declined')) {
    known.set(key, 'success')
    executed.set(paymentId, [...(executed.get(paymentId) ?? []), { key, amount, parent }])
  } else if (known.get(key) !== 'success') known.set(key, 'declined')
}

function receive(state: State, request: GatewayOperation): Charged {
  const { world, known, firstUsedMs } = state
  const { steps, faults, profile } = world
  const { key } = request
  if (steps.nowMs() - (firstUsedMs.get(key) ?? 0) > profile.keyLifeMs) {
    firstUsedMs.set(key, steps.nowMs())
  } else if (state.keyed) {
    const before = known.get(key) ?? 'pending'
    const again = profile.repeats === 'executes_once' && before !== 'pending'
    return again ? repeated(faults) : replyOf(request, before)
  }
  const before = known.get(key)
  if (!faults.fires('pending')) {
    decide(state, request)
    return replyOf(request, known.get(key) ?? 'pending')
  }
  known.set(key, before === 'success' ? 'success' : 'pending')
  state.underway += 1
  const atMs = steps.nowMs() + faults.between(100, 30_000)
  void steps.step(state.network, `finishes ${key}`, { atMs }).then(() => {
    state.underway -= 1
    // What was ended meanwhile is finished.
    if (known.get(key) !== 'declined') decide(state, request)
  })
  return replyOf(request, 'pending')
}

/** Bring a charge to the gateway after `delayMs`. */
async function deliver(state: State, request: GatewayOperation, delayMs: number): Promise<Charged> {
  const { steps } = state.world
  state.underway += 1
  const atMs = steps.nowMs() + delayMs
  await steps.step(state.network, `delivers ${request.key}`, { atMs })
  state.underway -= 1
  return receive(state, request)
}

function misfortunes(state: State, process: Process): readonly Misfortune[] {
  const { world } = state
  const { faults } = world
  const soon = (request: GatewayOperation) => deliver(state, request, 10)
  return [
    ['not_sent', async () => notExecuted('connection_refused', null, false)],
    ['too_many', async () => notExecuted('http_429', faults.between(1_000, 5_000), true)],
    ['rejected', async () => refused('rejected', 'unknown_method', 422)],
    ['misconfigured', async () => refused('misconfigured', 'http_404', 404)],
    ['dropped', async () => null],
    ['error_before', async () => inDoubt('http_500', 500)],
    ['error_after', (request) => soon(request).then(() => inDoubt('http_502', 502))],
    ['reply_lost', (request) => soon(request).then(() => null)],
    ['late', (request) => deliver(state, request, world.callMsMax + lateness(world))],
    ['beyond_grace', (request) => breakPromise(state, request, process)],
    ['duplicate', (request) => twice(state, request)],
    ['page_first', (request) => pageFirst(faults, () => soon(request), world.proves)],
  ]
}

function answer(
  state: State,
  request: GatewayOperation,
  process: Process,
): Promise<Charged | null> {
  const { world, keyed } = state
  const { faults, profile } = world
  if (intercepted(state)) return Promise.resolve(refused('misconfigured', ...pageOf(faults)))
  for (const [fault, happen] of misfortunes(state, process)) {
    // Where the answer to a repeated key says nothing, a network that repeats by itself lies to us.
    if (fault === 'duplicate' && (!keyed || profile.repeats === 'executes_once')) continue
    // A gateway that breaks this promise without honouring the key by then charges twice whatever
    // we do.
    const promise =
      profile.lookup === 'consistent' && keyed && beyondGraceMsMax(world) < overdueMsMax(profile)
    if (fault === 'beyond_grace' && !promise) continue
    if (faults.fires(fault)) return happen(request)
  }
  return deliver(state, request, faults.between(1, 500))
}

async function look(
  state: State,
  { key }: GatewayOperation,
): Promise<Evidence<LookupOutcome> | null> {
  const { steps, faults, profile } = state.world
  const atMs = steps.nowMs() + faults.between(1, 300)
  await steps.step(state.network, `looks up ${key}`, { atMs })
  if (intercepted(state)) return noAnswer(...pageOf(faults))
  if (faults.fires('lookup_failed')) {
    return faults.pick([null, null, noAnswer('http_500', 500), noAnswer('http_404', 404)])
  }
  const stale = profile.lookup === 'eventual' && faults.fires('lookup_stale')
  return { outcome: stale ? { kind: 'not_found' } : truth(state, key), ...REACHED }
}

/** End what is in hand, and say what it is afterwards; either may be lost on its way. */
async function end(
  state: State,
  { key }: GatewayOperation,
): Promise<Evidence<LookupOutcome> | null> {
  const { steps, faults } = state.world
  const atMs = steps.nowMs() + faults.between(1, 300)
  await steps.step(state.network, `ends ${key}`, { atMs })
  if (intercepted(state)) return noAnswer(...pageOf(faults))
  if (faults.fires('lookup_failed')) return faults.pick([null, noAnswer('http_500', 500)])
  if (state.known.get(key) === 'pending') {
    state.known.set(key, 'declined')
    state.ended.add(key)
  }
  if (faults.fires('reply_lost')) return null
  return { outcome: truth(state, key), ...REACHED }
}

type Misfortune = readonly [
  fault: Parameters<Faults['fires']>[0],
  happen: (request: GatewayOperation) => Promise<Charged | null>,
]

const REFUSED: ReadonlySet<string> = new Set(['not_executed', 'rejected', 'misconfigured'])

const REACHED = { sent: true, httpStatus: 200 } as const

/** A gateway with consistent lookups is late by less than the grace; others by any time. */
function lateness({ faults, profile, graceMs }: GatewayWorld): number {
  const lateMsMax = profile.lookup === 'consistent' ? graceMs - 1_000 : graceMs * 5
  return faults.between(1, Math.min(lateMsMax, overdueMsMax(profile)))
}

/** What the network brings later than this comes when its key may be forgotten, whoever sent it. */
function overdueMsMax({ keyLifeMs }: Promises): number {
  return keyLifeMs / 10 - 500
}

/** How late that is at most. */
function beyondGraceMsMax({ callMsMax, graceMs }: GatewayWorld): number {
  return callMsMax + graceMs + 60_000
}

/**
 * Execute so late that "not found" was taken as proof. Sometimes the caller stands still meanwhile
 * and sees the yes after all: the evidence that contradicts a final state.
 */
async function breakPromise(
  state: State,
  request: GatewayOperation,
  process: Process,
): Promise<Charged> {
  const { world, broken } = state
  const delayMs = world.callMsMax + world.graceMs + world.faults.between(1_000, 60_000)
  if (world.faults.between(0, 2) === 0) world.steps.pause(process, delayMs + 2_000)
  broken.add(request.paymentId)
  return deliver(state, request, delayMs)
}

async function twice(state: State, request: GatewayOperation): Promise<Charged> {
  const { faults, profile } = state.world
  const laterMs = faults.between(1, Math.min(20_000, overdueMsMax(profile)))
  void deliver(state, request, laterMs)
  return deliver(state, request, faults.between(1, 500))
}

/** Wait for a reply until our own deadline; null: none came. A reply after a pause still counts. */
async function withDeadline<Reply>(
  { steps, callMsMax }: GatewayWorld,
  process: Process,
  reply: Promise<Reply | null>,
): Promise<Reply | null> {
  const deadline = steps.wakeable(process, 'gateway replies', { atMs: steps.nowMs() + callMsMax })
  let seen: Reply | null = null
  void reply.then((result) => {
    seen = result
    if (result !== null) deadline.wake(steps.nowMs())
  })
  await deadline.done
  return seen
}

/** An answer to a repeated key that says nothing of what the first one did. */
function repeated(faults: Faults): Charged {
  const no = { kind: 'declined', reason: 'http_422' } as const
  return faults.between(0, 2) === 0
    ? { outcome: no, sent: true, httpStatus: 422 }
    : refused('rejected', 'duplicate', 422)
}

/** What stands in between answers, and why it is no word of the gateway. */
function pageOf(faults: Faults): [reason: string, httpStatus: number] {
  return faults.pick([
    ['http_404', 404],
    ['http_401', 401],
  ])
}

function refused(kind: 'rejected' | 'misconfigured', reason: string, httpStatus: number): Charged {
  return { outcome: { kind, reason }, sent: true, httpStatus }
}

function replyOf({ key }: GatewayOperation, known: Known): Charged {
  if (known === 'pending') {
    return { outcome: { kind: 'pending', reason: 'pending' }, sent: true, httpStatus: 202 }
  }
  if (known === 'success')
    return { outcome: { kind: 'success', gatewayRef: `gw-${key}` }, ...REACHED }
  return { outcome: { kind: 'declined', reason: 'http_402' }, sent: true, httpStatus: 402 }
}

function truth(state: State, key: string): LookupOutcome {
  const known = state.known.get(key)
  if (known === undefined) return { kind: 'not_found' }
  if (known === 'pending') return { kind: 'pending' }
  if (known === 'success') return { kind: 'success', gatewayRef: `gw-${key}` }
  return { kind: 'declined', reason: state.ended.has(key) ? 'canceled' : 'http_402' }
}

function inDoubt(reason: string, httpStatus: number): Charged {
  return { outcome: { kind: 'in_doubt', reason }, sent: true, httpStatus }
}

function notExecuted(reason: string, retryAfterMs: number | null, sent: boolean): Charged {
  return { outcome: { kind: 'not_executed', reason, retryAfterMs }, sent, httpStatus: null }
}

function noAnswer(reason: string, httpStatus: number | null = null): Evidence<LookupOutcome> {
  return { outcome: { kind: 'no_answer', reason }, sent: true, httpStatus }
}
