import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolve as resolvePath } from 'node:path'
import { readFileSync } from 'node:fs'
import { RULE_CODES, RULES } from '../src/verify/rules.ts'
import { verify } from '../src/verify/verify.ts'
import { testWorld } from './harness.ts'
import { MONEY_DAMAGES } from './verify-damage-money.ts'
import { RECORD_DAMAGES } from './verify-damage-records.ts'
import { busyHistory, tryOut, verifyWorld, violated } from './verify-history.ts'

const DAMAGES = [...MONEY_DAMAGES, ...RECORD_DAMAGES]

for (const seed of [1, 2, 3]) {
  test(`the books of a busy history are clean, seed ${seed}`, async (t) => {
    const world = await testWorld(t, { shards: seed })
    await busyHistory(world, seed)
    const kinds = await world.sql<{ kind: string }>(
      `select distinct case when last_error like 'refused:%' then 'refused' else status end
         || ' ' || type as kind from payments order by 1`,
    )
    const all = ['failed deposit', 'failed withdraw', 'new deposit', 'new withdraw']
    all.push('refused withdraw', 'success deposit', 'success withdraw', 'unknown deposit')
    assert.deepEqual(kinds.map(({ kind }) => kind).toSorted(), [...all, 'unknown withdraw'])

    const report = await verifyWorld(world)
    assert.deepEqual(violated(report), [])
    assert.equal(report.complete, true)
    const { user, user_held: held, gateway, fees, opening } = report.accounts
    assert.equal(user + held + gateway + fees + opening, 0n)
    const [counted] = await world.sql<{ payments: bigint; postings: bigint; attempts: bigint }>(
      `select (select count(*) from payments) as payments, (select count(*) from postings) as
         postings, (select count(*) from payment_attempts) as attempts`,
    )
    assert.equal(BigInt(report.checked.payment ?? 0), counted?.payments)
    assert.equal(BigInt(report.checked.posting ?? 0), counted?.postings)
    assert.equal(BigInt(report.checked.attempt ?? 0), counted?.attempts)
  })
}

test('every kind of damage is reported by its rule and by no other', async (t) => {
  const world = await testWorld(t)
  await busyHistory(world, 1)
  assert.ok(DAMAGES.length >= 30)
  for (const { name, sql, rules } of DAMAGES) {
    await t.test(name, async () => {
      const { clock } = world
      const options = { feeFloors: [0n] }
      const report = await tryOut(world, sql, (db) => verify({ db, clock }, options))
      assert.deepEqual(violated(report), rules.toSorted())
      for (const { violations, examples } of report.rules) {
        assert.equal(examples.length, Math.min(violations, 10))
      }
    })
  }
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('every rule that a statement can report is planted by some damage', () => {
  const planted = new Set(DAMAGES.flatMap(({ rules }) => rules))
  const missing = RULE_CODES.filter((rule) => !planted.has(rule) && RULES[rule][0] !== 'charge')
  // These two have tests of their own.
  assert.deepEqual(missing, ['repeat_twice', 'id_in_wrong_shard'])
})

test('the statements report the rules of the list and no others', () => {
  const stores = ['users-store.ts', 'payments-store.ts', 'verify.ts', 'gateway.ts', 'pass.ts']
  const text = stores
    .map((name) => readFileSync(resolvePath(import.meta.dirname, '../src/verify', name), 'utf8'))
    .join('\n')
  for (const rule of RULE_CODES) assert.ok(text.includes(`'${rule}'`), rule)
  const reported = [...text.matchAll(/then '(\w+)' end/g)].map(([, rule]) => rule)
  for (const rule of reported) assert.ok(rule !== undefined && rule in RULES, rule)
})
