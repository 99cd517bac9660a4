import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bookReturns } from '../src/refunds/returns.ts'
import { testWorld } from './harness.ts'
import { JANE } from './operators.ts'
import { balanced, done, untilFree } from './refunds-kit.ts'
import { back, DAY_MS, watching } from './watch-kit.ts'

test('what came back is booked in whichever order its gateway tells it', async (t) => {
  const taken = back('cb', 5_000n)
  const won = { ...back('won', 5_000n, 'dispute_won'), undoes: 'cb' }
  const again = back('cb-2', 2_000n)
  for (const told of [
    [won, taken],
    [again, won, taken],
    [won, again, taken],
    [again, taken, won],
  ]) {
    const world = await testWorld(t)
    const eyes = watching(world, [DAY_MS])
    const { id } = await done(world)
    eyes.came(id, ...told)
    world.clock.advance(DAY_MS)
    assert.deepEqual(await eyes.look(), ['booked'])
    assert.deepEqual(eyes.seen.at(-1)?.refusals, [])
    const children = await world.sql('select ref from payment_children order by ref')
    assert.equal(children.length, told.length)
    const left = told.reduce((sum, { kind, amount }) => {
      return kind === 'dispute_won' ? sum - amount : sum + amount
    }, 0n)
    assert.equal((await balanced(world))['gateway'], left - 10_000n)
  }
})

test('a return that is booked with another amount, or the other way, is refused and told at each look', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS, 2 * DAY_MS, 3 * DAY_MS])
  const { id } = await done(world)
  const draft = { parentId: id, ref: 'cb', kind: 'charged_back', amount: 900n } as const
  const [typed] = await untilFree(() => bookReturns(world.world, JANE, [draft]))
  assert.equal(typed?.kind, 'booked')
  eyes.came(id, back('cb', 1_000n), back('cb-2', 100n))
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['refused'])
  assert.deepEqual(eyes.seen.at(-1)?.refusals, [{ ref: 'cb', code: 'return_differs' }])
  assert.equal((await balanced(world))['gateway'], -9_000n, 'the other one is booked')
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['refused'])
})

test('a return that an operator called a refund made there, of the same amount, is the same', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  const draft = { parentId: id, ref: 'cb', kind: 'refunded_there', amount: 1_000n } as const
  await untilFree(() => bookReturns(world.world, JANE, [draft]))
  eyes.came(id, back('cb', 1_000n))
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['nothing'])
})

test('no return is booked under the name by which a return is taken back', async (t) => {
  const world = await testWorld(t)
  const eyes = watching(world, [DAY_MS])
  const { id } = await done(world)
  eyes.came(id, back(`refund ${id + 1n}`, 1_000n), back('cb', 100n))
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['refused'])
  const refusals = [{ ref: `refund ${id + 1n}`, code: 'ref_unreadable' }]
  assert.deepEqual(eyes.seen.at(-1)?.refusals, refusals)
  assert.deepEqual(await world.sql('select ref from payment_children'), [{ ref: 'cb' }])
})
