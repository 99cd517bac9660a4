import { messageId, wantedTypes } from '../../src/domain/event.ts'
import { planMissed, planReplay, readReplay } from '../../src/runs/events.ts'
import { cancel, start } from '../../src/runs/run.ts'
import type { FoundEvents } from '../../src/webhooks/replay-plan-bodies.ts'
import { deliverAgain } from '../../src/webhooks/deliveries.ts'
import { addEndpoint, dropEndpoint, editEndpoint } from '../../src/webhooks/endpoints.ts'
import type { Db } from '../../src/ports.ts'
import { readEndpoint } from '../../src/webhooks/store.ts'
import { insist, nap } from './asking.ts'
import type { EndpointRow } from './delivery-rows.ts'
import { deliverAll, SECRETS_KEY } from './deliverers.ts'
import { must } from './promises.ts'
import type { Api, Plants, World } from './world-types.ts'

const BY = { actor: 'jane', requestId: 'r' }
const ALL = { types: null, undelivered: false, createdAfter: null, createdBefore: null }

/** What endpoints of a history want. */
const WANTED = [
  ['payment.*'],
  ['payment.*', 'dead_letter.*', 'webhook_endpoint.*'],
  ['payment.succeeded', 'payment.failed', 'payment.unknown'],
] as const

/** Who makes endpoints, and turns them off and on, has events sent again, and removes some. */
export async function runSubscriber(world: World): Promise<void> {
  const { plan, faults } = world
  for (let count = 0; count < plan.endpoints; count += 1) await makeOne(world)
  for (let act = 0; act < plan.wishes; act += 1) {
    await nap(world, 6_000)
    const there = known(world)
    if (there.length === 0) return
    const doing = faults.pick([turnOff, turnOn, turnOn, sendAgain, sendAgain, retryOne, drop])
    await doing(world, faults.pick(there))
  }
}

/** Endpoints that were not removed. */
function known({ tables }: World): EndpointRow[] {
  return [...tables.endpoints.rows.values()].filter(({ state }) => state !== 'removed')
}

async function makeOne(world: World): Promise<void> {
  const { faults } = world
  const types = faults.pick(WANTED)
  const payload = faults.pick(['full', 'full', 'thin'] as const)
  const ordered = faults.pick([true, true, false])
  await insist(world, async ({ db }) => {
    const { url } = world.receivers.open()
    const draft = { url, types, description: null, payload, ordered }
    const made = await addEndpoint(db, draft, BY, SECRETS_KEY)
    if (made.kind === 'refused') throw new Error(made.refusal.code)
    // From here on every event is wanted by it: the answer was given.
    world.promised.set(made.endpoint.id, world.tables.events.rows.size)
  })
}

/** Ask for a change until it is answered: then every shard knows it. */
async function turn(world: World, id: bigint, state: 'enabled' | 'disabled'): Promise<void> {
  world.deliveries.disturbed(id)
  await insist(world, async ({ db }) => {
    world.deliveries.paused(id, null)
    await editEndpoint(db, id, { state }, BY)
    world.deliveries.paused(id, null)
  })
}

async function turnOff(world: World, { id }: EndpointRow): Promise<void> {
  await turn(world, id, 'disabled')
  world.count('turned_off')
}

/** Enable one that is disabled, and have sent what it has missed. */
async function turnOn(world: World, { id, state }: EndpointRow): Promise<void> {
  if (state !== 'disabled') return
  const [before] = await insist(world, async ({ db }) => [await readEndpoint(db.global, id)])
  if (before == null) return
  await turn(world, id, 'enabled')
  await begin(world, id, ({ db }) => planMissed(db, before, 'jane'))
  world.count('turned_on')
}

/** Have events of a time sent again; some of these are canceled. */
async function sendAgain(world: World, { id, createdAt }: EndpointRow): Promise<void> {
  const { faults, steps } = world
  const age = Math.max(1, steps.nowMs() - createdAt)
  const time = () => new Date(createdAt + faults.between(0, age))
  const createdAfter = faults.pick([null, time()])
  const createdBefore = faults.pick([null, time()])
  const asked = { ...ALL, undelivered: faults.pick([true, false]), createdAfter, createdBefore }
  world.deliveries.disturbed(id)
  const snapshot = await begin(world, id, async ({ db }) => {
    const endpoint = await readEndpoint(db.global, id)
    return endpoint === null ? null : planReplay(db, endpoint, asked, 'jane')
  })
  if (snapshot === null) return
  world.count('sent_again')
  if (faults.between(0, 3) > 0) return
  await nap(world)
  await insist(world, async ({ db }) => {
    const answer = await cancel({ db }, snapshot, 'jane', id)
    world.count(answer.kind === 'run' ? 'again_canceled' : 'again_over')
  })
}

/** Start what a dry run found. Returns its number; null: it found nothing to start. */
async function begin(
  world: World,
  endpointId: bigint,
  plan: (api: Api) => Promise<FoundEvents | null>,
): Promise<bigint | null> {
  const found = await insist(world, plan)
  if (found === null || found.count === 0) return null
  const ratePerSecond = world.faults.between(1, 30)
  const by = { ...BY, reason: 'lost', ratePerSecond, endpointId }
  await insist(world, async ({ db }) => void (await start({ db }, found.snapshot, by)))
  return found.snapshot
}

async function retryOne(world: World, { id }: EndpointRow): Promise<void> {
  const own = [...world.tables.deliveries.rows.values()].filter((row) => row.endpointId === id)
  if (own.length === 0) return
  const { eventId } = world.faults.pick(own)
  world.deliveries.disturbed(id)
  await insist(world, async ({ db }) => {
    const again = await deliverAgain(db, { endpointId: id, eventId }, BY)
    world.count(again.kind === 'due' ? 'retried_one' : `retry_${again.refusal.code}`)
  })
}

async function drop(world: World, { id }: EndpointRow): Promise<void> {
  if (world.faults.between(0, 4) > 0) return
  await insist(world, async ({ db }) => void (await dropEndpoint(db, id, BY)))
  world.count('dropped')
}

/** Turns in which everything that is on its way has to end. */
const TURNS_MAX = 2_000

/**
 * Without faults: who was never turned off has everything. Then all is sent again, and receivers
 * are bad for as long as it takes until it has arrived, was given up or waits for its endpoint.
 * Then they are well, everybody is turned on again and gets what was missed, and has every event.
 */
export async function deliverTheRest(
  world: World,
  plants: Plants,
  process: Pick<Api, 'process' | 'db' | 'clock'>,
): Promise<void> {
  const { receivers } = world
  receivers.mood = 'well'
  await deliverAll(world, plants, process, TURNS_MAX)
  for (const endpoint of known(world)) if (endpoint.version === 1) checkTold(world, endpoint)
  receivers.mood = 'bad'
  for (const { id } of known(world)) await sendAll(world, process.db, id)
  await deliverAll(world, plants, process, TURNS_MAX)
  receivers.mood = 'well'
  for (const { id } of known(world)) await catchUp(world, plants, process, id)
  for (const endpoint of known(world)) checkTold(world, endpoint)
}

/** Have everything sent to an endpoint once more. */
async function sendAll(world: World, db: Db, id: bigint): Promise<void> {
  const endpoint = await readEndpoint(db.global, id)
  if (endpoint === null) return
  world.deliveries.disturbed(id)
  const { snapshot } = await planReplay(db, endpoint, ALL, 'jane')
  await start({ db }, snapshot, { ...BY, reason: 'once more', ratePerSecond: 20, endpointId: id })
}

/** Send an endpoint what it has not got: as many as the dry run counted. */
async function catchUp(
  world: World,
  plants: Plants,
  process: Pick<Api, 'process' | 'db' | 'clock'>,
  id: bigint,
): Promise<void> {
  const { db } = process
  const before = await readEndpoint(db.global, id)
  if (before === null) return
  const off = before.state === 'disabled'
  if (off) await editEndpoint(db, id, { state: 'enabled' }, BY)
  world.deliveries.paused(id, null)
  await deliverAll(world, plants, process, TURNS_MAX)
  const found = await (off
    ? planMissed(db, before, 'jane')
    : planReplay(db, before, { ...ALL, undelivered: world.random() < 0.5 }, 'jane'))
  const { taken } = world.receivers.all.get(before.url ?? '') ?? { taken: new Map() }
  world.deliveries.disturbed(id)
  const sum = () => [...taken.values()].reduce((all: number, one: number) => all + one, 0)
  const tookBefore = sum()
  const by = { ...BY, reason: 'lost', ratePerSecond: 20, endpointId: id }
  await start({ db }, found.snapshot, by)
  await deliverAll(world, plants, process, TURNS_MAX)
  const replay = await readReplay(db, id, found.snapshot)
  const counts = [replay?.run.carriedOut, replay?.delivered, sum() - tookBefore]
  const all = counts.every((count) => count === found.count)
  must(all, 'as many are delivered as a dry run counts', [found.count, ...counts])
  if (found.count > 0) world.count('caught_up')
}

/** Every event that an endpoint wants, from the answer that made it on, has arrived there. */
function checkTold({ tables, receivers, promised }: World, endpoint: EndpointRow): void {
  const { id, url, ordered } = endpoint
  const from = promised.get(id)
  const receiver = receivers.all.get(url ?? '')
  if (from === undefined || receiver === undefined) return
  const types: readonly string[] = wantedTypes(endpoint.types)
  for (const [number, event] of tables.events.rows) {
    if (number < from || !types.includes(event.type)) continue
    const taken = receiver.taken.has(messageId(event.id))
    must(taken, 'every event that is wanted arrives', { ...event, ordered })
  }
}
