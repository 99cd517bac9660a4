import assert from 'node:assert/strict'
import fs, { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openJournal } from '../src/mock-gateway/journal.ts'
import type { Order } from '../src/mock-gateway/orders.ts'

const ORDER: Order = {
  key: 'k1',
  paymentId: 1,
  userId: 2,
  amount: 20_050n,
  commission: 401n,
  type: 'deposit',
}

function journalPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mock-gateway-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return join(folder, 'journal.jsonl')
}

test('a line cut short by a crash is skipped, and the next one is not lost with it', (t) => {
  const path = journalPath(t)
  const journal = openJournal(path)
  journal.settle(ORDER, 'executed', new Date(0))
  journal.close()
  appendFileSync(path, readFileSync(path).subarray(0, 40))

  const reopened = openJournal(path)
  assert.equal(reopened.audit().executed, 1)
  reopened.settle({ ...ORDER, key: 'k2', paymentId: 2 }, 'executed', new Date(0))
  reopened.close()
  const last = openJournal(path)
  assert.equal(last.audit().executed, 2)
  assert.deepEqual(last.find('k2')?.amount, 20_050n)
  last.close()
})

test('a charge that a full disk cut short did not happen, and the next one is not lost with it', (t) => {
  const path = journalPath(t)
  const journal = openJournal(path)
  journal.settle(ORDER, 'executed', new Date(0))
  const write = fs.writeSync
  const full = (fd: number, bytes: Uint8Array) => write(fd, bytes.subarray(0, 40))
  t.mock.method(fs, 'writeSync', full as typeof write)
  syncBuiltinESMExports()
  const second = { ...ORDER, key: 'k2', paymentId: 2 }
  assert.throws(() => journal.settle(second, 'executed', new Date(0)), /full/)
  t.mock.restoreAll()
  syncBuiltinESMExports()
  assert.equal(journal.find('k2'), undefined)
  journal.settle({ ...ORDER, key: 'k3', paymentId: 3 }, 'executed', new Date(0))
  journal.close()

  const reopened = openJournal(path)
  assert.deepEqual(
    ['k1', 'k2', 'k3'].map((key) => reopened.find(key)?.outcome),
    ['executed', undefined, 'executed'],
  )
  reopened.close()
})
