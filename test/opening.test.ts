import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decideKey, decideOpenings, type Opening } from '../src/domain/opening.ts'
import { sentFields } from '../src/domain/sent-fields.ts'
import { shardOfText } from '../src/domain/shard.ts'

const named = (id: bigint, externalId: string | null = null): Opening => ({
  id,
  balance: 1n,
  texts: externalId === null ? null : { externalId, metadata: null },
})

test('of any openings, each external id and each id is opened once, by who holds it', () => {
  const opening = fc.record({
    id: fc.bigInt(1n, 6n),
    externalId: fc.constantFrom(null, 'a', 'b', 'c'),
  })
  const books = fc.record({
    holders: fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.bigInt(1n, 6n)),
    existing: fc.array(fc.bigInt(1n, 6n)),
  })
  fc.assert(
    fc.property(fc.array(opening), books, (asked, { holders, existing }) => {
      const before = { holders: new Map(Object.entries(holders)), existing: new Set(existing) }
      const openings = asked.map(({ id, externalId }) => named(id, externalId))
      const { answers, opened } = decideOpenings(openings, before)
      assert.equal(answers.length, openings.length)
      const ids = opened.map(({ id }) => id)
      assert.equal(new Set(ids).size, ids.length)
      assert.ok(ids.every((id) => !existing.includes(id)))
      openings.forEach(({ id, texts }, index) => {
        const answer = answers[index]
        const holder = texts == null ? undefined : before.holders.get(texts.externalId ?? '')
        if (answer?.kind === 'refused') {
          assert.equal(answer.refusal.userId, holder)
          assert.notEqual(holder, id)
        } else {
          assert.equal(answer?.userId, id)
          assert.ok(answer?.replayed === true || holder === undefined || holder === id)
        }
      })
    }),
  )
})

test('a key is the same with the books’ currency named and left out, whichever was first', () => {
  const [plain, spelled] = [{ balance: '1' }, { balance: '1', currency: 'USD' }].map(sentFields)
  assert.ok(plain !== undefined && spelled !== undefined)
  for (const [first, again] of [
    [plain, spelled],
    [spelled, plain],
  ] as const) {
    const holder = { apiKey: '', key: 'k', userId: 7n, sent: first }
    const verdict = decideKey({ ...named(8n), sent: again, alike: first }, holder)
    assert.deepEqual(verdict, { kind: 'held', id: 7n, sent: first, fresh: false })
    const other = sentFields({ balance: '2', currency: 'USD' })
    const differs = decideKey(
      { ...named(8n), sent: other, alike: sentFields({ balance: '2' }) },
      holder,
    )
    assert.ok(differs.kind === 'refused')
    assert.deepEqual(differs.refusal.errors, [{ field: 'balance', code: 'differs' }])
  }
})

test('a key stands for the id of who has it, and for nobody whose fields differ', () => {
  const sent = sentFields({ balance: '1' })
  const holder = { apiKey: '', key: 'k', userId: 7n, sent }
  assert.deepEqual(decideKey({ ...named(7n), sent }, holder), {
    kind: 'held',
    id: 7n,
    sent,
    fresh: true,
  })
  assert.deepEqual(decideKey({ ...named(8n), sent }, holder), {
    kind: 'held',
    id: 7n,
    sent,
    fresh: false,
  })
  const other = decideKey({ ...named(8n), sent: sentFields({ balance: '2' }) }, holder)
  assert.ok(other.kind === 'refused')
  assert.deepEqual(other.refusal, {
    code: 'idempotency_key_reuse',
    errors: [{ field: 'balance', code: 'differs' }],
    userId: 7n,
  })
})

test('a text has one shard, for good, and texts spread over the shards', () => {
  // These never change: keys and external ids would not be found any more.
  assert.deepEqual(
    ['', ' k', 'shop-1', 'abcdefghijkl k'].map((text) => shardOfText(text, 64)),
    [60, 45, 44, 59],
  )
  const counts = Array.from({ length: 8 }, () => 0)
  for (let index = 0; index < 8_000; index += 1) {
    const shard = shardOfText(`key ${index}`, 8)
    counts[shard] = (counts[shard] ?? 0) + 1
  }
  assert.ok(
    counts.every((count) => count > 800 && count < 1_200),
    counts.join(),
  )
})
