import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { timelineText } from '../src/timeline/command.ts'
import { timeline } from '../src/timeline/timeline.ts'
import { cloneDatabase } from './databases.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { accepted, JANE, openLetter, server } from './operators.ts'
import { run } from './programs.ts'

/** A withdrawal in doubt that an operator redrove and the gateway then executed. */
async function longWay(world: TestWorld): Promise<bigint> {
  world.gateway.script = ['not_executed', 'in_doubt', 'lost_reply']
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  const [id = 0n] = await accepted(world, 'withdraw')
  for (let round = 0; round < 3; round += 1) {
    world.clock.advance(5_000)
    await world.work()
  }
  await redrive(world.world, JANE, [{ letterId: await openLetter(world, id), delayMs: 0 }])
  world.gateway.lookups = null
  world.clock.advance(5_000)
  await world.work()
  return id
}

test('the terminal tells of a payment what the route tells', async (t) => {
  const world = await testWorld(t)
  const id = await longWay(world)
  const env = { DATABASE_URL: world.url }
  const { code, stdout, stderr } = await run(t, ['payment', String(id), '--json'], env)
  assert.equal(code, 0, stderr)
  const app = await server(t, world)
  const answer = await app.inject(`/payments/${id}/timeline`)
  assert.deepEqual(JSON.parse(stdout), answer.json())

  const text = await run(t, ['payment', String(id)], env)
  assert.equal(text.code, 0, text.stderr)
  const found = await timeline(world.world, id)
  assert.equal(text.stdout, `${found === null ? '' : timelineText(found)}\n`)
  assert.match(text.stdout, new RegExp(`^Payment ${id}: success, a withdrawal of .* for user 1\n`))
  const [, events = ''] = /\n\n[^]*?\n\n([^]*)$/.exec(text.stdout) ?? []
  const starts = events.split('\n').filter((line) => /^\d{4}-/.test(line))
  assert.equal(starts.length, found?.events.length)
})

test('the timeline fits into 80 columns, and no text from outside steers the terminal', async (t) => {
  const world = await testWorld(t)
  const found = await timeline(world.world, await longWay(world))
  assert(found !== null)
  const events = found.events.map((event) =>
    event.kind === 'act'
      ? { ...event, act: { ...event.act, actor: '\x1b[2J', reason: 'a word \x9b or '.repeat(9) } }
      : event,
  )
  const text = timelineText({ ...found, events })
  for (const line of text.split('\n')) {
    assert.ok(line.length <= 80, line)
    assert.doesNotMatch(line, /\p{Cc}/u)
  }
  assert.match(text, /by \\u\{1b\}\[2J/)
})

test('a payment that is not there is a sentence, and ends with 1', async (t) => {
  const { code, stdout, stderr } = await run(t, ['payment', '4711'], {
    DATABASE_URL: await cloneDatabase(t),
  })
  assert.deepEqual([code, stdout, stderr], [1, '', 'There is no payment 4711.\n'])
})
