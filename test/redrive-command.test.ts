import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Command } from 'commander'
import { CommandMisused } from '../src/adapters/commands.ts'
import { redriveCommand } from '../src/runs/command.ts'
import { cancelRun } from '../src/runs/store.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { assertBooks, declined } from './operators.ts'
import { badNight, jpyNight } from './redrive-kit.ts'

/** Run `payments redrive` in this process; what it prints, and its exit code. */
async function command(t: TestContext, world: TestWorld, ...args: string[]) {
  return commandWith(t, world, async () => world.clock.advance(100), args)
}

/** The same; `pause` is what happens while it waits for the next step. */
async function commandWith(
  t: TestContext,
  world: TestWorld,
  pause: () => Promise<void>,
  args: readonly string[],
) {
  const lines: string[] = []
  const mocks = (['stdout', 'stderr'] as const).map((name) =>
    t.mock.method(process[name], 'write', (text: string | Uint8Array) => {
      if (name === 'stdout') lines.push(String(text))
      return true
    }),
  )
  const program = new Command().exitOverride()
  const clock = { ...world.clock, sleep: pause }
  redriveCommand(program, () =>
    Promise.resolve({ ...world.world, clock, close: () => Promise.resolve() }),
  )
  process.exitCode = 0
  try {
    await program.parseAsync(['redrive', ...args], { from: 'user' })
    return { text: lines.join(''), code: process.exitCode }
  } catch (error) {
    // What the process ends with then is decided where it began.
    if (error instanceof CommandMisused) return { text: '', code: 2 }
    throw error
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

test('payments redrive ends with 1 when letters were left open, be it refused or not reached', async (t) => {
  const world = await testWorld(t)
  const [first] = await declined(world, 'withdraw', 2)
  const { userId } = (await world.view(first ?? 0n)).payment
  world.gateway.script = []
  // What is left pays for one of them.
  await world.accept([{ type: 'withdraw', userId, amount: 5_000n, idempotencyKey: null }])
  const poor = await command(t, world, '--yes', '--reason', 'back')
  assert.match(poor.text, /1 redriven, 0 closed by others, 1 refused \(1 insufficient_funds\)/)
  assert.equal(poor.code, 1)

  await declined(world, 'deposit', 2)
  const cancel = async () => {
    const runs = await world.sql<{ id: bigint }>('select max(id) as id from redrives')
    await cancelRun(world.db.global, runs[0]?.id ?? 0n, 'jane')
  }
  const args = ['--yes', '--reason', 'back', '--rate', '1', '--type', 'deposit']
  const canceled = await commandWith(t, world, cancel, args)
  assert.match(canceled.text, /Canceled: 1 redriven, .*, 1 not reached/)
  assert.equal(canceled.code, 1)
})

test('payments redrive tells what letters come to in their own currencies', async (t) => {
  const { world } = await jpyNight(t)
  const said = await command(t, world, '--dry-run')
  assert.match(said.text, /^2 dead letters for 50\.00 and 500 JPY would be redriven:/)
  assert.match(said.text, /^ {2}1 for 500 JPY: failed, new payments repeat them$/m)
  const dry = JSON.parse((await command(t, world, '--dry-run', '--json')).text)
  assert.deepEqual([dry.amount, dry.other_amounts], ['50.00', [JPY_TEXT]])
  const done = JSON.parse((await command(t, world, '--yes', '--json', '--reason', 'back')).text)
  assert.deepEqual([done.amount, done.other_amounts], [50, [{ ...JPY_TEXT, amount: 500 }]])
})

const JPY_TEXT = { count: 1, amount: '500', currency: 'JPY' }
