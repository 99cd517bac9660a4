import assert from 'node:assert/strict'
import { test } from 'node:test'
import { journal } from '../src/ledger/journal.ts'
import { testWorld } from './harness.ts'
import { serve } from './serve.ts'
import { busyHistory } from './verify-history.ts'

for (const shards of [1, 3]) {
  test(`page by page the journal shows each entry of each payment once, on ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    await busyHistory(world, 2, 4)
    const seen: string[] = []
    const ids: bigint[] = []
    let before: bigint | null = 2n ** 62n
    while (before !== null) {
      const page: Awaited<ReturnType<typeof journal>> = await journal(world.db, before, 7)
      assert.ok(page.payments.length <= 7)
      for (const { id, userId, entries } of page.payments) {
        ids.push(id)
        for (const { kind, user, held, gateway, fees, opening, losses } of entries) {
          assert.equal(user + held + gateway + fees + opening + losses, 0n)
          seen.push(`${userId} ${id} ${kind} ${user} ${held}`)
        }
      }
      before = page.next
    }
    const payments = await world.sql<{ id: bigint }>('select id from payments order by id desc')
    assert.deepEqual(
      ids,
      payments.map(({ id }) => id),
    )
    const entries = await world.sql<{ text: string }>(
      `select concat_ws(' ', user_id, payment_id, kind, user_available, user_held) as text
       from postings where kind <> 'opening' order by payment_id desc, kind`,
    )
    assert.deepEqual(
      seen,
      entries.map(({ text }) => text),
    )
    assert.ok(seen.length > 20)
  })
}

test('the journal is read by the API, page by page', async (t) => {
  const { call } = await serve(t)
  await call('POST', '/users', { balance: 100 })
  for (const amount of [1, 2, 3]) {
    await call('POST', '/payments/withdraw', { user_id: 1, amount })
  }
  const first = await call('GET', '/ledger/entries?limit=2')
  const data = first.body['data'] as Entry[]
  const holds = data.filter(({ kind }) => kind === 'hold')
  assert.deepEqual(
    holds.map(({ payment_id: id, accounts, currency }) => [id, accounts.user, currency]),
    [
      [3, -3.06, 'USD'],
      [2, -2.04, 'USD'],
    ],
  )
  const next = String(first.body['next_cursor'])
  const second = await call('GET', `/ledger/entries?limit=2&cursor=${next}`)
  assert.ok((second.body['data'] as Entry[]).every(({ payment_id: id }) => id === 1))
  assert.equal(second.body['next_cursor'], null)
  const wrong = await call('GET', '/ledger/entries?cursor=x')
  assert.deepEqual([wrong.status, wrong.body['code']], [400, 'cursor_invalid'])
  assert.equal((await call('GET', '/ledger/entries?limit=0')).body['code'], 'query_invalid')
})

interface Entry {
  readonly payment_id: number
  readonly kind: string
  readonly currency: string
  readonly accounts: { readonly user: number }
}
