import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolve as resolvePath } from 'node:path'
import { readFileSync } from 'node:fs'
import { PAYMENTS_IN_LIST, PAYMENTS_IN_RANGE } from '../src/verify/payments-store.ts'
import { RULE_CODES, RULES, type Rule } from '../src/verify/rules.ts'
import { USERS_IN_LIST, USERS_IN_RANGE } from '../src/verify/users-store.ts'
import { verify } from '../src/verify/verify.ts'
import { testWorld } from './harness.ts'
import { withRules } from './rules-table.ts'
import { BACK_DAMAGES } from './verify-damage-back.ts'
import { MONEY_DAMAGES } from './verify-damage-money.ts'
import { RECORD_DAMAGES } from './verify-damage-records.ts'
import { history } from './verify-books.ts'
import { tryOut, verifyWorld, violated } from './verify-history.ts'

const DAMAGES = [...MONEY_DAMAGES, ...BACK_DAMAGES, ...RECORD_DAMAGES]

for (const seed of [1, 2, 3]) {
  test(`the books of a busy history are clean, seed ${seed}`, async (t) => {
    const world = await testWorld(t, { shards: seed })
    await history(world, seed)
    const kinds = await world.sql<{ kind: string }>(
      `select distinct case when refused_for is not null then 'refused' else status end
         || ' ' || type as kind from payments order by 1`,
    )
    const all = ['failed deposit', 'failed withdraw', 'new deposit', 'new withdraw']
    all.push('refused withdraw', 'success deposit', 'success withdraw', 'unknown deposit')
    all.push('unknown withdraw', 'failed refund', 'new refund', 'success refund', 'success return')
    assert.deepEqual(kinds.map(({ kind }) => kind).toSorted(), all.toSorted())

    const report = await verifyWorld(world)
    assert.deepEqual(violated(report), [])
    assert.equal(report.complete, true)
    const { user, user_held: held, gateway, fees, opening, losses } = report.accounts
    assert.equal(user + held + gateway + fees + opening + losses, 0n)
    assert.ok(losses < 0n)
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
  await history(world, 1)
  assert.ok(DAMAGES.length >= 30)
  for (const { name, sql, rules } of DAMAGES) {
    await t.test(name, async () => {
      const { clock } = world
      // So few keys at once that a healthy history takes several passes.
      const options = { feeFloors: [{ currency: 'USD', minor: 0n }], keysAtOnce: 20 }
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
  const missing = RULE_CODES.filter(
    (rule) => !planted.has(rule) && RULES[rule].subject !== 'charge',
  )
  // Without ranges no key is kept apart: partitions-keys.test.ts plants it. One shard has no wrong
  // one: verify-traffic.test.ts plants it in two.
  assert.deepEqual(missing, ['key_unkept', 'id_in_wrong_shard'])
})

/** Of every code, the conditions under which a statement reports it. */
function reportedBy(statements: readonly { readonly text: string }[]): Map<string, Set<string>> {
  const reported = new Map<string, Set<string>>()
  for (const { text } of statements) {
    for (const [, condition = '', code = ''] of text.matchAll(
      /case when ((?:(?!case when).)+?) then '(\w+)' end/gs,
    )) {
      reported.set(code, (reported.get(code) ?? new Set()).add(condition))
    }
  }
  return reported
}

test('the statements report each rule under its condition, and no others', () => {
  const ranges = reportedBy([USERS_IN_RANGE, PAYMENTS_IN_RANGE])
  assert.deepEqual(reportedBy([USERS_IN_LIST, PAYMENTS_IN_LIST]), ranges)
  const decided = ['verify.ts', 'compare-with-gateway.ts', 'compare-returns.ts', 'pass.ts']
    .map((name) => readFileSync(resolvePath(import.meta.dirname, '../src/verify', name), 'utf8'))
    .join('\n')
  for (const [code, { broken }] of Object.entries<Rule>(RULES)) {
    assert.deepEqual(ranges.get(code) ?? new Set(), new Set(Object.values(broken)), code)
    assert.equal(decided.includes(`'${code}'`), Object.keys(broken).length === 0, code)
  }
  for (const code of ranges.keys()) assert.ok(code in RULES, code)
})

test('docs/ledger.md lists every rule as the code has it', () => {
  const page = readFileSync(resolvePath(import.meta.dirname, '../docs/ledger.md'), 'utf8')
  assert.equal(page, withRules(page), 'run npm run ledger-page')
  for (const code of RULE_CODES) assert.ok(page.includes(`| \`${code}\` `), code)
})
