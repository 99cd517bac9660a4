import { refresh } from '../../src/charging/refresh.ts'
import { insist, nap } from './asking.ts'
import type { LetterRow } from './tables.ts'
import { actWorld } from './act-world.ts'
import type { World } from './world-types.ts'

/** Letters of a run's step at most. */
const RUN_MAX = 5

/**
 * One operator: acts on letters that are open when looked at, one after the other, beside workers
 * and other operators. An act without an answer is asked for again, as people do; a step of a run
 * is repeated as the run's own, so that it is counted once.
 */
export async function runOperator(world: World, index: number): Promise<void> {
  const { faults, plan } = world
  for (let act = 0; act < plan.acts; act += 1) {
    const open = await awaitLetters(world)
    if (open.length === 0) return
    const number = BigInt(index * 1_000 + act + 1)
    const doing = faults.pick([
      redriveOne,
      redriveRun,
      resolveOne,
      resolveOne,
      reportLate,
      refreshOne,
    ])
    await doing(world, open, number)
  }
}

/** How often an operator looks for letters before leaving. */
const LOOKS_MAX = 20

async function awaitLetters(world: World): Promise<readonly LetterRow[]> {
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    await nap(world)
    const open = [...world.tables.letters.rows.values()].filter(({ state }) => state === 'open')
    if (open.length > 0) return open
  }
  return []
}

async function redriveOne(world: World, open: readonly LetterRow[]): Promise<void> {
  const { id: letterId } = world.faults.pick(open)
  const againstEvidence = world.faults.pick([false, false, true])
  const by = { actor: 'jane', reason: 'again', requestId: 'r', redriveId: null }
  await insist(world, async (api) => {
    const own = actWorld(world, api)
    const [answer] = await world.acts.redrive(own, by, [{ letterId, delayMs: 0, againstEvidence }])
    world.count(answer?.kind === 'refused' ? `redrive_${answer.refusal.code}` : 'redriven')
  })
}

/** A step of a run: several letters at once, under the run's number. */
async function redriveRun(
  world: World,
  open: readonly LetterRow[],
  redriveId: bigint,
): Promise<void> {
  const letters = open.slice(0, world.faults.between(1, RUN_MAX + 1))
  const by = { actor: 'cli', reason: 'a bad night', requestId: 'r', redriveId }
  await insist(world, async (api) => {
    const own = actWorld(world, api)
    const requests = letters.map(({ id }, index) => ({ letterId: id, delayMs: index * 100 }))
    for (const answer of await world.acts.redrive(own, by, requests)) {
      world.count(answer.kind === 'refused' ? `redrive_${answer.refusal.code}` : 'redriven')
    }
  })
}

/** Somebody wants to know now: the gateway is asked out of turn. */
async function refreshOne(world: World, open: readonly LetterRow[]): Promise<void> {
  const { paymentId } = world.faults.pick(open)
  await insist(world, async (api) => {
    const gateway = world.tables.payments.get(paymentId)?.gateway ?? ''
    const settled = await refresh(world.charging(api, gateway), paymentId)
    world.count(settled === null ? 'refresh_needless' : 'refreshed')
  })
}

/** A word: what the gateway's own journal says, or a guess. */
async function resolveOne(world: World, open: readonly LetterRow[]): Promise<void> {
  const { faults, gateway } = world
  const letter = faults.pick(open)
  const executed = gateway.journal.executed.has(letter.paymentId)
  const truth = executed ? 'success' : 'failed'
  const outcome = faults.pick([truth, truth, 'success', 'failed'] as const)
  await say(world, letter.id, outcome, faults.pick([false, false, true]))
}

/** Somebody who has not looked, and then somebody who insists. */
async function deny(world: World, [letter]: readonly LetterRow[]): Promise<void> {
  if (letter === undefined) return
  await say(world, letter.id, 'failed', false)
  await say(world, letter.id, 'failed', true)
}

async function say(
  world: World,
  letterId: bigint,
  outcome: 'success' | 'failed',
  againstEvidence: boolean,
): Promise<void> {
  const by = { actor: 'jane', reason: 'seen', requestId: 'r', redriveId: null }
  await insist(world, async (api) => {
    const own = actWorld(world, api)
    const request = { letterId, outcome, gatewayRef: null, againstEvidence }
    const [answer] = await world.acts.resolve(own, by, [request])
    world.count(answer?.kind === 'refused' ? `resolve_${answer.refusal.code}` : 'resolved')
  })
}

/**
 * A process of the version before kept a late yes and did not act on it: such evidence is there,
 * and whoever comes next has to go by it.
 */
async function reportLate(world: World, open: readonly LetterRow[]): Promise<void> {
  const { tables, gateway, steps, faults } = world
  const letter = open.find(({ paymentId }) => gateway.journal.executed.has(paymentId))
  const payment = tables.payments.get(letter?.paymentId ?? -1n)
  const key = `${letter?.paymentId} 0 1`
  if (letter === undefined || payment?.status !== 'unknown') return
  if (tables.attempts.get(key) !== undefined) return
  const { paymentId } = letter
  world.ignored.add(paymentId)
  world.count('yes_ignored')
  tables.atomically(() => {
    const call = { shard: payment.shard, paymentId, fence: 0, call: 1, kind: 'charge' }
    const said = { outcome: 'success', reason: null, sent: true, httpStatus: 200, late: true }
    const when = { startedAt: steps.nowMs(), tookMs: 0 }
    tables.attempts.set(key, { ...call, ...said, ...when })
  })
  await faults.pick([redriveOne, resolveOne, deny])(world, [letter])
}
