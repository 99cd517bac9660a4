import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { unsettledIn } from '../src/adapters/unsettled.ts'
import type { Settlement } from '../src/payments/charge.ts'
import { LEASE_MS, testWorld } from './harness.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'unsettled-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('what a stopped process left is read as it was, and settles as if it had never stopped', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(10_000n)
  const draft = { type: 'withdraw', userId, amount: 100n, idempotencyKey: null } as const
  await world.accept([draft, draft])
  const settlements = await world.claimAndCharge()

  const folder = folderOf(t)
  const path = unsettledIn(folder).keep(settlements)
  const later = unsettledIn(folder)
  assert.deepEqual(later.files(), [path])
  const read = later.read(path) as Settlement[]
  assert.deepEqual(read, settlements)

  // Settled by two processes that found it: once.
  await Promise.all([world.settle(read), world.settle(read)])
  const rows = await world.sql<{ status: string }>('select status from payments')
  assert.deepEqual(rows, [{ status: 'success' }, { status: 'success' }])
  later.remove(path)
  later.remove(path)
  assert.deepEqual(later.files(), [])
})

test('what was left about a claim that somebody took over becomes late evidence', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(10_000n)
  await world.accept([{ type: 'withdraw', userId, amount: 100n, idempotencyKey: null }])
  const folder = unsettledIn(folderOf(t))
  const path = folder.keep(await world.claimAndCharge())
  world.clock.advance(LEASE_MS)
  await world.work()
  await world.settle(folder.read(path) as Settlement[])
  const late = await world.sql('select outcome from payment_attempts where late')
  assert.deepEqual(late, [{ outcome: 'success' }])
})

test('a file that is not whole, or of another version, settles nothing and stays', (t) => {
  const folder = folderOf(t)
  const left = unsettledIn(folder)
  writeFileSync(join(folder, 'a.unsettled.jsonl.part'), '"payments-unsettled-1"\n{"cl')
  writeFileSync(join(folder, 'b.unsettled.jsonl'), '"payments-unsettled-9"\n{}\n')
  const [other = '', ...more] = left.files()
  assert.deepEqual(more, [])
  assert.throws(() => left.read(other), /another version/)
  assert.equal(readdirSync(folder).length, 2)
})

test('what is left about money is for its owner only', (t) => {
  const folder = folderOf(t)
  const path = unsettledIn(folder).keep([{ amount: 1n }])
  assert.equal(statSync(path).mode & 0o777, 0o600)
})
