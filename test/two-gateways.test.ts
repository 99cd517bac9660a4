import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { charge, claim, type ChargeWorld } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import { routing } from '../src/domain/routing.ts'
import { acceptor } from '../src/payments/accept.ts'
import { POLICY, scriptedGateway, testWorld } from './harness.ts'
import { profileOf } from './profiles.ts'

const PROMISES = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' } as const

/** A shop whose withdrawals go to a bank, and everything else to `http`. */
async function twoGateways(t: TestContext) {
  const own = await testWorld(t)
  // The script is the object's own: a copy would follow that of the first.
  const bank = Object.assign(scriptedGateway(), { profile: profileOf(PROMISES, { name: 'bank' }) })
  const names = ['http', 'bank']
  const profiles = new Map(names.map((name) => [name, profileOf(PROMISES, { name })]))
  const rules = [
    { type: 'withdraw', currency: null, gateway: 'bank' },
    { type: null, currency: null, gateway: 'http' },
  ] as const
  const accept = acceptor({
    shard: own.db.of(0n),
    currency: 'USD',
    fees: { bps: 200, mins: new Map() },
    gateways: { routing: routing(profiles, rules), closed: () => null },
  })
  const world: ChargeWorld = { ...own.world, gateway: bank, policy: { ...POLICY, ...PROMISES } }
  const workBank = async () => {
    const claims = await claim(world, 1_000)
    await settle(world, await Promise.all(claims.map((claimed) => charge(world, claimed))))
    return claims.length
  }
  const userId = await own.user(1_000_000n)
  const pay = async (type: 'deposit' | 'withdraw', count: number) => {
    const draft = { type, userId, amount: 1_000n, idempotencyKey: null } as const
    await accept(Array.from({ length: count }, () => draft))
  }
  const ended = () =>
    own.sql<{ type: string; gateway: string; count: number }>(`
      select type, coalesce(gateway, 'http') as gateway, count(*)::int as count
      from payments where status = 'success' group by 1, 2 order by 1, 2`)
  return { ...own, bank, workBank, pay, ended }
}

test('payments are claimed by the gateway that they are routed to, and by no other', async (t) => {
  const own = await twoGateways(t)
  await own.pay('deposit', 3)
  await own.pay('withdraw', 2)
  assert.equal((await own.work()).length, 3)
  assert.equal(await own.workBank(), 2)
  assert.deepEqual([own.gateway.charged.size, own.bank.charged.size], [3, 2])
  assert.deepEqual(await own.ended(), [
    { type: 'deposit', gateway: 'http', count: 3 },
    { type: 'withdraw', gateway: 'bank', count: 2 },
  ])
})

test('while one gateway is down the payments of the other end as if nothing were', async (t) => {
  const own = await twoGateways(t)
  own.bank.script = ['not_executed']
  await own.pay('withdraw', 50)
  for (let round = 0; round < 5; round += 1) {
    await own.pay('deposit', 10)
    await own.workBank()
    assert.equal((await own.work()).length, 10)
    own.clock.advance(100)
  }
  assert.deepEqual(await own.ended(), [{ type: 'deposit', gateway: 'http', count: 50 }])
  assert.equal(own.bank.charged.size, 0)
})
