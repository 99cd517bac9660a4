import { createHash } from 'node:crypto'
import type { Answer, PaymentDraft } from '../../src/domain/acceptance.ts'
import { shortest } from '../../src/domain/money.ts'
import type { RefundAnswer } from '../../src/domain/refund.ts'
import { charge, claim, type ChargeWorld } from '../../src/charging/charge.ts'
import { settle } from '../../src/charging/settle.ts'
import { openUsers } from '../../src/users/open.ts'
import { openedId } from '../harness.ts'
import { feePolicies } from '../../src/domain/fee.ts'
import { must, Violation } from './promises.ts'
import type { Fault } from './faults.ts'
import { START_MS, type Scheduler } from './scheduler.ts'
import { userLock } from './handlers.ts'
import { expected, Lost, nap, untilDeath } from './asking.ts'
import { said } from './asked.ts'
import { runClerk } from './clerks.ts'
import { HOME, minorOf } from './currencies.ts'
import { runOperator } from './operators.ts'
import { deliverTheRest, runSubscriber } from './subscribers.ts'
import { checkBackThere, sayTheRest } from './back-there.ts'
import { tally } from './tally.ts'
import { watchAll } from './watchers.ts'
import { createWorld, gatewayNames, operationsOf } from './world.ts'
import type { Api, Plants, World } from './world-types.ts'

/** What became of one seed. */
export interface SimulationResult {
  readonly seed: number
  /** The same for the same seed, on every machine: every step, and the final books. */
  readonly digest: string
  readonly steps: number
  readonly virtualMs: number
  readonly faults: Partial<Record<Fault, number>>
  /** How many payments ended in each state, and how often each rare thing happened. */
  readonly reached: Readonly<Record<string, number>>
  /** The broken promise, and when it was found; null: none. */
  readonly failure: { readonly message: string; readonly step: number } | null
}

/** Steps in which everybody has to come to rest once the faults are over. */
const REST_STEPS_MAX = 20_000
/** The same where everything is sent twice at a rate, and caught up with: few need a tenth. */
const DELIVERY_STEPS_MAX = 90_000
/** Claims of one task until it is finished, once the faults are over. */
const CLAIMS_MAX = 14

/**
 * Run one seed: trouble first, and every promise checked after every step; then the trouble ends
 * and everything has to be finished within a bound, with books that agree with the gateway's.
 */
export async function simulate(
  seed: number,
  plants: Plants = {},
  log: ((line: string) => void) | null = null,
): Promise<SimulationResult> {
  const { world, failure } = await play(seed, plants, log)
  tally(world)
  return {
    seed,
    digest: digestOf(world),
    steps: world.steps.steps(),
    virtualMs: world.steps.nowMs() - START_MS,
    faults: world.faults.counts,
    reached: world.reached,
    failure,
  }
}

/** The same, with the whole world as it is at the end. */
export async function play(
  seed: number,
  plants: Plants,
  log: ((line: string) => void) | null = null,
): Promise<Pick<SimulationResult, 'failure'> & { readonly world: World }> {
  const world = createWorld(seed, plants, log)
  let failure: SimulationResult['failure'] = null
  try {
    await trouble(world)
    await rest(world)
    if (world.plan.watchMs.length > 0) await watchRest(world, plants)
    if (world.plan.endpoints > 0) await deliveryRest(world, plants)
    await replay(world)
    world.books.checkAtRest()
    world.clients.checkAtRest()
    world.refunds.checkAtRest()
    must(world.db.locked() === 0, 'no lock is left behind')
  } catch (error) {
    failure = { message: messageOf(error), step: world.steps.steps() }
  }
  return { world, failure }
}

function messageOf(error: unknown): string {
  if (error instanceof Violation) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** The safety phase: clients, processes and faults, for as many steps as the seed says. */
async function trouble(world: World): Promise<void> {
  const { plan, steps } = world
  for (let slot = 0; slot < plan.apis; slot += 1) world.startApi(slot)
  const users: bigint[] = []
  const subscribers = plan.endpoints > 0 ? 1 : 0
  let clientsLeft = plan.clients + plan.operators + plan.clerks + subscribers
  for (let client = 0; client < plan.clients; client += 1) {
    void runClient(world, users, client)
      .catch((error: unknown) => world.fail(error))
      .finally(() => (clientsLeft -= 1))
  }
  for (let operator = 0; operator < plan.operators; operator += 1) {
    void runOperator(world, operator)
      .catch((error: unknown) => world.fail(error))
      .finally(() => (clientsLeft -= 1))
  }
  for (let clerk = 0; clerk < plan.clerks; clerk += 1) {
    void runClerk(world, clerk)
      .catch((error: unknown) => world.fail(error))
      .finally(() => (clientsLeft -= 1))
  }
  if (subscribers > 0) {
    void runSubscriber(world)
      .catch((error: unknown) => world.fail(error))
      .finally(() => (clientsLeft -= 1))
  }
  for (let slot = 0; slot < plan.workers; slot += 1) world.startWorker(slot)
  await steps.run(() => false, plan.steps)

  world.faults.end()
  world.db.releaseSeized()
  world.db.turnWritable()
  world.closing = true
  await reach(steps, () => clientsLeft === 0, 'every client gets an answer')
}

async function reach(
  steps: Scheduler,
  done: () => boolean,
  promise: string,
  stepsMax = REST_STEPS_MAX,
): Promise<void> {
  must((await steps.run(done, stepsMax)) === 'done', promise)
}

/** The liveness phase: without faults everything is finished within a bound. */
async function rest(world: World): Promise<void> {
  const { steps, tables, gateway } = world
  let stopped = false
  const alive = world.workers.filter(({ process }) => !process.dead)
  void Promise.all(alive.map(({ worker }) => worker.stop())).then(() => (stopped = true))
  await reach(steps, () => stopped, 'every worker stops')
  checkWords(world)

  const fences = new Map(
    [...tables.tasks.rows.values()].map((task) => [task.paymentId, task.fence]),
  )
  let finished = false
  const work = async (): Promise<void> => {
    const { process, needs } = world.hand('finisher')
    while (workLeft(world)) {
      const due = [...tables.tasks.rows.values()].map((task) => task.runAt)
      await steps.step(process, 'waits for work', { atMs: Math.min(...due) })
      for (const name of gatewayNames(world.plan)) {
        await workOnce(world, world.charging({ ...needs, process }, name))
      }
      for (const task of tables.tasks.rows.values()) {
        const claims = task.fence - (fences.get(task.paymentId) ?? 0)
        must(claims <= CLAIMS_MAX, 'every payment is finished within a bound', task)
      }
    }
  }
  void work()
    .then(() => (finished = true))
    .catch((error: unknown) => world.fail(error))
  await reach(steps, () => finished && gateway.journal.underway() === 0, 'the queue runs empty')
}

/** Without faults everything that came back at the gateway is found within a bound. */
async function watchRest(world: World, plants: Plants): Promise<void> {
  const { process, needs } = world.hand('watcher')
  const until = (atMs: number) => world.steps.step(process, 'waits for a look', { atMs })
  const charging = (name: string) => world.charging({ ...needs, process }, name)
  let done = false
  void sayTheRest(world, needs.db)
    .then(() => watchAll(world, plants, charging, until))
    .then(() => (done = true))
    .catch((error: unknown) => world.fail(error))
  await reach(world.steps, () => done, 'everything is looked at')
  checkBackThere(world)
}

/** Without faults every event that is wanted arrives within a bound. */
async function deliveryRest(world: World, plants: Plants): Promise<void> {
  const { process, needs } = world.hand('deliverer')
  let done = false
  void deliverTheRest(world, plants, { ...needs, process })
    .then(() => (done = true))
    .catch((error: unknown) => world.fail(error))
  await reach(world.steps, () => done, 'everything is delivered', DELIVERY_STEPS_MAX)
}

/** What a gateway told a worker that lived on is kept, however long the database was away. */
function checkWords({ words, tables }: World): void {
  for (const { process, done } of words) {
    const { payment, task } = done.claim
    done.calls.forEach((_, index) => {
      const kept = tables.attempts.get(`${payment.id} ${task.fence} ${index + 1}`)
      must(process.dead || kept !== undefined, 'a living worker keeps every word', done.calls)
    })
  }
}

async function workOnce({ plan }: World, own: ChargeWorld): Promise<void> {
  const claims = await claim(own, 100, operationsOf(plan))
  const settlements = await Promise.all(claims.map((claimed) => charge(own, claimed)))
  if (settlements.length > 0) await settle(own, settlements)
}

/** Whether any task can still be finished: an eventual "not found" is never proof. */
function workLeft({ tables, plan, gateway }: World): boolean {
  if (gateway.journal.underway() > 0 && tables.tasks.rows.size > 0) return true
  for (const task of tables.tasks.rows.values()) {
    const payment = tables.payments.get(task.paymentId)
    const known = gateway.journal.known(payment?.gatewayKey ?? '')
    const hopeless = plan.profile.lookup === 'eventual' && known === undefined && task.lookups > 0
    if (!hopeless) return true
  }
  return false
}

/** Every keyed request that was answered is answered the same again. */
async function replay(world: World): Promise<void> {
  const { steps, clients, refunds, plan } = world
  world.startApi(0)
  const api = world.apis[0] as Api
  let replayed = false
  const askAgain = async (): Promise<void> => {
    for (const { draft } of clients.definite()) {
      const [answer] = await api.accept([draft])
      must(answer?.replayed === true || answer?.kind === 'refused', 'an old key is replayed', draft)
      clients.answered(draft, answer as Answer)
    }
    const own = { db: api.db, ...feePolicies(plan) }
    for (const { draft } of refunds.definite()) {
      const [answer] = await world.acts.refund(own, [draft])
      must(
        answer?.replayed === true || answer?.kind === 'refused',
        'an old key is replayed',
        answer,
      )
      refunds.answered(draft, answer as RefundAnswer)
    }
  }
  void askAgain()
    .then(() => (replayed = true))
    .catch((error: unknown) => world.fail(error))
  await reach(steps, () => replayed, 'every replay is answered')
}

/** One client: its requests one after the other, each until it has an answer. */
async function runClient(world: World, users: bigint[], index: number): Promise<void> {
  const { plan, faults } = world
  if (index < plan.users) users.push(await openUser(world))
  while (users.length === 0) await nap(world)
  for (let count = 0; count < plan.requests; count += 1) {
    const size = faults.pick([1, 1, 1, 3])
    const drafts = Array.from({ length: size }, (_, item) => {
      return draftOf(world, users, `${index}.${count}.${item}`)
    })
    await ask(world, drafts)
  }
}

async function openUser(world: World): Promise<bigint> {
  const { faults, plan } = world
  for (;;) {
    const api = faults.pick(world.apis)
    const balance = BigInt(faults.between(0, 30_000))
    const currency = plan.currencies.length === 1 ? null : faults.pick(plan.currencies)
    try {
      const [answer] = await untilDeath(api, openUsers(api.db, [{ balance, currency }]))
      if (answer !== undefined) return openedId(answer)
    } catch (error) {
      if (!expected(error) && !(error instanceof Lost)) throw error
    }
    await nap(world)
  }
}

/** Keys of its own, keys that others use too, and none; users that exist, and a few that do not. */
function draftOf(world: World, users: readonly bigint[], own: string): PaymentDraft {
  const { faults } = world
  const userId = faults.between(0, 40) === 0 ? 9_999n : faults.pick(users)
  const idempotencyKey = faults.pick([own, own, own, `shared-${faults.between(0, 4)}`, null])
  const type = faults.pick(['deposit', 'withdraw'] as const)
  const amount = BigInt(faults.pick([100, 2_525, 9_999, 15_001]))
  const draft = { type, userId, amount, idempotencyKey, ...saidOf(world, own) }
  return world.plan.currencies.length === 1 ? draft : { ...draft, ...askedOf(world, userId) }
}

/**
 * An amount as a way in hands it over, in a currency that may be none of the account's: without a
 * currency it is one of the books, unless they cannot hold it.
 */
function askedOf(
  { faults, tables }: World,
  userId: bigint,
): Pick<PaymentDraft, 'asked' | 'amount'> {
  const own = tables.users.get(userId)?.currency ?? HOME
  const currency = faults.pick([null, null, own, own, HOME])
  const [unscaled, scale] = faults.pick([
    [2_525n, 2],
    [9_999n, 2],
    [3_000n, 0],
    [777n, 0],
    [7_125n, 3],
  ] as const)
  const amount = { unscaled, scale }
  const inBooks = currency === null ? minorOf(amount, HOME) : null
  return inBooks === null ? { amount: 0n, asked: { amount, currency } } : { amount: inBooks }
}

/** What is said about a payment, in the histories in which somebody changes it. */
function saidOf({ faults, plan }: World, own: string): Pick<PaymentDraft, 'given'> {
  if (plan.clerks === 0 || faults.between(0, 3) > 0) return {}
  const reference = faults.pick([null, `order-${faults.between(0, 6)}`, `order-${own}`])
  return { given: said({ reference, description: faults.pick([null, 'red', 'green']) }) }
}

/** Send until answered; without a key an unknown outcome is never sent again. */
async function ask(world: World, asked: readonly PaymentDraft[]): Promise<void> {
  const { faults, clients } = world
  let drafts = asked
  while (drafts.length > 0) {
    const api = faults.pick(world.apis)
    for (const draft of drafts) clients.sent(draft)
    const askedMs = world.steps.nowMs()
    try {
      const answers = await untilDeath(api, api.accept(drafts))
      if (faults.fires('answer_lost')) throw new Lost('the answer was lost')
      drafts.forEach((draft, index) => {
        const answer = answers[index] as Answer
        world.count(answer.kind === 'refused' ? answer.refusal.code : 'accepted')
        if (answer.replayed) world.count('replayed')
        const busy = answer.kind === 'refused' && answer.refusal.code === 'busy'
        const lockedMs = world.db.foundLockedMs(userLock(draft.userId))
        must(!busy || lockedMs >= askedMs, 'nobody is refused for another’s lock', draft)
        if (!busy) clients.answered(draft, answer)
      })
      return
    } catch (error) {
      if (!expected(error) && !(error instanceof Lost)) throw error
      world.count('asked_again')
    }
    await nap(world)
    drafts = drafts
      .filter((draft) => draft.idempotencyKey !== null)
      .map((draft) => (faults.between(0, 10) === 0 ? otherwise(draft) : draft))
  }
}

/** The same request for another amount. */
function otherwise(draft: PaymentDraft): PaymentDraft {
  const { asked: was } = draft
  if (was === undefined) return { ...draft, amount: draft.amount + 1n }
  const { unscaled, scale } = was.amount
  const amount = shortest({ unscaled: unscaled + 1n, scale })
  return { ...draft, asked: { ...was, amount } }
}

function digestOf({ tables, steps, reached }: World): string {
  const hash = createHash('sha256').update(`${steps.trace()} ${steps.nowMs()} `)
  const { users, payments, tasks, attempts, postings, letters, acts, children, details } = tables
  const all = [users, payments, tasks, attempts, postings, letters, acts, children, details]
  const rows = all.map((table) => [...table.rows.values()])
  const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)
  return hash
    .update(JSON.stringify([rows, reached], plain))
    .digest('hex')
    .slice(0, 16)
}
