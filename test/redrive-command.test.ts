import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Command } from 'commander'
import { redriveCommand } from '../src/runs/command.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { assertBooks } from './operators.ts'
import { badNight } from './redrive-kit.ts'

/** Run `payments redrive` in this process; what it prints, and its exit code. */
async function command(t: TestContext, world: TestWorld, ...args: string[]) {
  const lines: string[] = []
  const mocks = (['stdout', 'stderr'] as const).map((name) =>
    t.mock.method(process[name], 'write', (text: string | Uint8Array) => {
      if (name === 'stdout') lines.push(String(text))
      return true
    }),
  )
  const program = new Command().exitOverride()
  const clock = {
    ...world.clock,
    sleep: async () => world.clock.advance(100),
  }
  redriveCommand(program, () =>
    Promise.resolve({ ...world.world, clock, close: () => Promise.resolve() }),
  )
  process.exitCode = 0
  try {
    await program.parseAsync(['redrive', ...args], { from: 'user' })
    return { text: lines.join(''), code: process.exitCode }
  } finally {
    process.exitCode = 0
    for (const mock of mocks) mock.mock.restore()
  }
}

test('payments redrive does the same on the database itself', async (t) => {
  const world = await testWorld(t)
  await badNight(world)

  assert.equal((await command(t, world, '--json')).code, 2)
  const dry = await command(t, world, '--dry-run', '--json', '--class', 'failed')
  const { count, amount } = JSON.parse(dry.text) as Record<string, unknown>
  assert.deepEqual([dry.code, count, amount], [0, 10, '500.00'])
  const words = await command(t, world, '--dry-run')
  assert.match(words.text, /^11 dead letters for 550\.00 would be redriven:/)

  const done = await command(t, world, '--yes', '--json', '--reason', 'back', '--rate', '4')
  const run = JSON.parse(done.text) as Record<string, unknown>
  assert.deepEqual(
    [done.code, run['state'], run['done'], run['redriven'], run['refused']],
    [0, 'done', 11, 11, 0],
  )
  assert.match(String(run['started_by']), /^cli:/)
  const none = await command(t, world, '--yes', '--reason', 'back')
  assert.deepEqual([none.code, none.text], [0, 'No open dead letter matches.\n'])
  await assertBooks(world)
})
