import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import { chargeKind, lookupKind, type Shape } from '../src/domain/reply-outcome.ts'
import type { RetryPolicy } from '../src/domain/charge-decision.ts'
import { charge, claim, type ChargeWorld } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import type { Promises } from '../src/domain/charge-decision.ts'
import type { Gateway } from '../src/ports.ts'
import { openUsers } from '../src/users/open.ts'
import { acceptAll, manualClock, openedId, POLICY, type ManualClock } from './harness.ts'
import { SHAPES } from './reply-table.ts'
import { instantDb } from './simulation/differential.ts'
import type { Tables } from './simulation/tables.ts'
import { profileOf } from './profiles.ts'

// On the simulator's database, which is compared with PostgreSQL elsewhere: thousands of histories.

const LIFE_MS = 3_600_000

const PROFILES: readonly Promises[] = (
  ['first_answer', 'executes_once', 'may_execute_again'] as const
).flatMap((repeats) =>
  (['none', 'eventual', 'consistent'] as const).map((lookup) => ({
    repeats,
    keyLifeMs: LIFE_MS,
    lookup,
  })),
)

/** What whoever stands in between answers to everything, and an example of it. */
interface Storm {
  readonly charge: ChargeOutcome['kind']
  readonly lookup: LookupOutcome['kind']
  readonly example: string
}

/** Every pair of meanings that a status and a body can have for a charge and for a lookup. */
function storms(): readonly Storm[] {
  const found = new Map<string, Storm>()
  for (let status = 100; status <= 599; status += 1) {
    for (const shape of Object.keys(SHAPES) as Shape[]) {
      const storm = { charge: chargeKind(status, shape), lookup: lookupKind(status, shape) }
      const pair = `${storm.charge} ${storm.lookup}`
      found.set(pair, found.get(pair) ?? { ...storm, example: `${status} ${SHAPES[shape]}` })
    }
  }
  return [...found.values()]
}

/**
 * Whether a gateway with this profile cannot say this after it has charged: then it is its word.
 */
function isLie({ charge: kind, lookup }: Storm, profile: Promises): boolean {
  if (lookup === 'declined' && profile.lookup !== 'none') return true
  if (lookup === 'not_found' && profile.lookup === 'consistent') return true
  return kind === 'declined' && profile.repeats === 'first_answer'
}

/**
 * A gateway that executes the first charge, loses its reply, and remembers the key for its life.
 */
interface Witness extends Gateway {
  storm: Storm | null
  executed: number
  /** How old the key was at each charge, in milliseconds. */
  readonly ages: number[]
}

function witness(clock: ManualClock, profile: Promises): Witness {
  let firstMs: number | null = null
  const seen = { sent: true, httpStatus: null }
  const gateway: Witness = {
    profile: profileOf(profile),
    storm: null,
    executed: 0,
    ages: [],
    close: () => Promise.resolve(),
    execute() {
      const ageMs = firstMs === null ? 0 : clock.elapsedMs() - firstMs
      gateway.ages.push(ageMs)
      if (firstMs === null) {
        firstMs = clock.elapsedMs()
        gateway.executed += 1
        return Promise.resolve({ outcome: { kind: 'in_doubt', reason: 'timeout' }, ...seen })
      }
      if (gateway.storm !== null) {
        return Promise.resolve({ outcome: outcomeOf(gateway.storm.charge), ...seen })
      }
      const known = ageMs <= profile.keyLifeMs && profile.repeats !== 'may_execute_again'
      if (!known) gateway.executed += 1
      const again = known && profile.repeats === 'executes_once'
      return Promise.resolve({ outcome: again ? DUPLICATE : YES, ...seen })
    },
    lookup() {
      const outcome = gateway.storm === null ? YES : answerOf(gateway.storm.lookup)
      return Promise.resolve({ outcome, ...seen })
    },
  }
  return gateway
}

const YES = { kind: 'success', gatewayRef: 'gw-1' } as const
const DUPLICATE: ChargeOutcome = { kind: 'rejected', reason: 'duplicate' }

function outcomeOf(kind: ChargeOutcome['kind']): ChargeOutcome {
  if (kind === 'success') return YES
  return kind === 'not_executed'
    ? { kind, reason: kind, retryAfterMs: null }
    : { kind, reason: kind }
}

function answerOf(kind: LookupOutcome['kind']): LookupOutcome {
  if (kind === 'success') return YES
  if (kind === 'pending' || kind === 'not_found') return { kind }
  return { kind, reason: kind }
}

/** A withdrawal of 10.00 and its commission of 0.20, from 100.00. */
async function withdrawal(profile: Promises) {
  const clock = manualClock()
  const { tables, open } = instantDb(clock)
  const db = open(1)
  const gateway = witness(clock, profile)
  const policy: RetryPolicy = { ...POLICY, ...profile, giveUpMs: 0 }
  const limits = { leaseMs: 15_000, callMsMax: 1_000 }
  const world: ChargeWorld = { db, clock, gateway, policy, ...limits, random: () => 0 }
  const [user] = await openUsers(db, [{ balance: 10_000n }])
  const accept = acceptAll(db, { bps: 200, min: 0n })
  const draft = {
    type: 'withdraw',
    userId: user === undefined ? 0n : openedId(user),
    amount: 1_000n,
  } as const
  await accept([{ ...draft, idempotencyKey: null }])
  return { clock, tables, gateway, world, policy }
}

/** Work whatever is due, each at its time, until `untilMs` or until nothing is left. */
async function workUntil(world: ChargeWorld, tables: Tables, untilMs: number): Promise<void> {
  const clock = world.clock as ManualClock
  const startMs = clock.now().getTime() - clock.elapsedMs()
  for (let round = 0; round < 1_000; round += 1) {
    const due = [...tables.tasks.rows.values()].map(({ runAt }) => runAt - startMs)
    const nextMs = Math.min(...due)
    if (nextMs > untilMs) break
    clock.advance(Math.max(0, nextMs - clock.elapsedMs()))
    const claims = await claim(world, 10)
    await settle(world, await Promise.all(claims.map((one) => charge(world, one))))
  }
  clock.advance(Math.max(0, untilMs - clock.elapsedMs()))
}

function stateOf(tables: Tables) {
  const [payment] = [...tables.payments.rows.values()]
  const [user] = [...tables.users.rows.values()]
  const letters = [...tables.letters.rows.values()].filter(({ state }) => state === 'open')
  return { status: payment?.status, held: user?.held, letters: letters.map((one) => one.class) }
}

const DAY_MS = 86_400_000

for (const [weather, stormMs] of [
  ['a minute', 60_000],
  ['two lives of its key', 2 * LIFE_MS],
] as const) {
  for (const profile of PROFILES) {
    const name = `repeats ${profile.repeats}, lookup ${profile.lookup}`
    test(`a charge that was executed and lost never fails, whatever is answered for ${weather}: ${name}`, async () => {
      let count = 0
      for (const storm of storms()) {
        if (isLie(storm, profile)) continue
        count += 1
        const { tables, gateway, world, policy } = await withdrawal(profile)
        gateway.storm = storm
        await workUntil(world, tables, stormMs)
        const during = stateOf(tables)
        assert.notEqual(during.status, 'failed', storm.example)
        if (during.status !== 'success') assert.equal(during.held, 1_020n, storm.example)

        gateway.storm = null
        await workUntil(world, tables, stormMs + 3 * DAY_MS)
        const after = stateOf(tables)
        assert.equal(gateway.executed, 1, storm.example)
        const latest = Math.max(...gateway.ages)
        assert.ok(latest + policy.timeoutMs < LIFE_MS, `${storm.example}: sent at ${latest}`)
        if (after.status === 'unknown') {
          assert.equal(profile.lookup, 'none', storm.example)
          assert.deepEqual([after.held, after.letters], [1_020n, ['unknown']], storm.example)
          continue
        }
        assert.deepEqual(after, { status: 'success', held: 0n, letters: [] }, storm.example)
      }
      assert.ok(count >= 8, `${count} storms`)
    })
  }
}

test('a gateway without lookups whose credential was wrong for a while is charged by itself', async () => {
  const profile = { repeats: 'first_answer', keyLifeMs: LIFE_MS, lookup: 'none' } as const
  const { tables, gateway, world } = await withdrawal(profile)
  gateway.storm = { charge: 'misconfigured', lookup: 'no_answer', example: '401' }
  await workUntil(world, tables, LIFE_MS / 2)
  gateway.storm = null
  await workUntil(world, tables, LIFE_MS)
  assert.deepEqual(stateOf(tables), { status: 'success', held: 0n, letters: [] })
  assert.equal(gateway.executed, 1)
  assert.ok(gateway.ages.length > 20, `${gateway.ages.length} charges under one key`)
})
