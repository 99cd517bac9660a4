import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Command } from 'commander'
import { feed } from '../src/events/feed.ts'
import { missedUntilEnabled } from '../src/runs/events.ts'
import { replayCommand } from '../src/runs/replay-command.ts'
import { start } from '../src/runs/run.ts'
import { webhooksCommand } from '../src/webhooks/command.ts'
import { editEndpoint } from '../src/webhooks/endpoints.ts'
import { readEndpoint, type EndpointChange } from '../src/webhooks/store.ts'
import type { TestWorld } from './harness.ts'
import { carriedOut, delivered, START } from './replay-kit.ts'
import { BY, delivering, receiver, status, succeed } from './webhooks-kit.ts'

const HOUR_MS = 3_600_000
const ON = { state: 'enabled' } as const
const OFF = { state: 'disabled' } as const

/** Change an endpoint, as a request does; null: it is offered nothing. */
async function edit(world: TestWorld, id: bigint, change: EndpointChange) {
  const before = await readEndpoint(world.db.global, id)
  const after = await editEndpoint(world.db, id, change, BY)
  assert.ok(before !== null && after !== null)
  return missedUntilEnabled(world.db, before, after, 'jane')
}

test('an endpoint that is disabled a second time has missed everything since the first', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const { id } = await endpoint((await receiver(t, status(204))).url)
  await edit(world, id, OFF)
  const first = await readEndpoint(world.db.global, id)
  await succeed(world, 5)
  await turn()
  world.clock.advance(30 * 24 * HOUR_MS)
  assert.equal(await edit(world, id, OFF), null)
  assert.deepEqual((await readEndpoint(world.db.global, id))?.disabledAt, first?.disabledAt)
  await succeed(world, 2)
  await turn()
  assert.equal((await edit(world, id, ON))?.count, 7)
})

test('who disables an endpoint that is gone changes neither why nor since when it is', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const { id } = await endpoint((await receiver(t, status(410))).url)
  await succeed(world)
  await turn()
  const gone = await readEndpoint(world.db.global, id)
  assert.deepEqual([gone?.state, gone?.disabledWhy], ['disabled', 'gone'])
  // As if whoever disabled it had died before it told the others.
  await world.sql('update webhook_endpoints set tell_at = now()')
  world.clock.advance(HOUR_MS)
  await edit(world, id, OFF)
  const after = await readEndpoint(world.db.global, id)
  assert.deepEqual([after?.disabledWhy, after?.disabledAt], ['gone', gone?.disabledAt])
  const [row] = await world.sql<{ telling: boolean }>(
    'select tell_at is not null as telling from webhook_endpoints',
  )
  assert.equal(row?.telling, true, 'the others are still to be told')
})

test('an endpoint that is enabled for a moment is offered all that never arrived', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const { id } = await endpoint((await receiver(t, status(410))).url)
  await edit(world, id, OFF)
  await succeed(world, 5)
  await turn()
  world.clock.advance(HOUR_MS)
  assert.equal((await edit(world, id, ON))?.count, 5)
  await succeed(world)
  await turn()
  assert.equal((await readEndpoint(world.db.global, id))?.state, 'disabled')
  world.clock.advance(HOUR_MS)
  await succeed(world)
  await turn()
  assert.equal((await edit(world, id, ON))?.count, 7)
})

test('who lost the answer to enabling is offered again what was missed, for a day and until it is sent', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(204))
  const { id } = await endpoint(to.url)
  assert.equal(await edit(world, id, ON), null, 'it was never disabled')
  await edit(world, id, OFF)
  await succeed(world, 2)
  await turn()
  world.clock.advance(HOUR_MS)
  await edit(world, id, ON)
  const again = await edit(world, id, ON)
  assert.equal(again?.count, 2)
  await start(world.world, again?.snapshot ?? 0n, { ...START, endpointId: id })
  await carriedOut(world)
  await delivered(turn)
  assert.equal(to.received.length, 2)
  assert.equal((await edit(world, id, ON))?.count, 0)
  world.clock.advance(25 * HOUR_MS)
  assert.equal(await edit(world, id, ON), null)
})

test('what had no place in the list when an endpoint was disabled is missed, however long that took', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(204))
  const { id } = await endpoint(to.url)
  // As if the service had ended before it gave them a place.
  await succeed(world, 3)
  world.clock.advance(11 * 60_000)
  await edit(world, id, OFF)
  await feed(world.db)
  world.clock.advance(60_000)
  const missed = await edit(world, id, ON)
  await turn()
  assert.deepEqual([to.received.length, missed?.count], [0, 3])
})

test('what an endpoint does not want any more is not offered to it', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const { id } = await endpoint((await receiver(t, status(204))).url)
  await edit(world, id, OFF)
  await succeed(world, 4)
  await turn()
  assert.equal((await edit(world, id, { ...ON, types: ['payment.failed'] }))?.count, 0)
})

test('of a type that was taken away and added again, what happened in between was not missed', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  await endpoint((await receiver(t, status(204))).url)
  const { id } = await endpoint((await receiver(t, status(204))).url, { types: ['books.broken'] })
  for (const types of [['payment.*'], ['books.broken'], ['payment.*']]) {
    world.clock.advance(HOUR_MS)
    await edit(world, id, { types })
    if (types.includes('payment.*')) continue
    await succeed(world, 3)
    await delivered(turn)
  }
  await edit(world, id, OFF)
  await succeed(world, 2)
  await delivered(turn)
  assert.equal((await edit(world, id, ON))?.count, 2)
})

/** What a command says, in this process: its clock is the test's. */
async function said(t: TestContext, { world, own }: Delivering, args: string): Promise<string> {
  const close = () => Promise.resolve()
  const clock = { ...world.clock, sleep: async () => world.clock.advance(1_000) }
  const webhooks = { ...own, urls: {}, newMessageId: () => 'msg_test', forward: own.send }
  const tool = { ...world.world, clock, webhooks, close }
  const open = (() => Promise.resolve(tool)) as unknown as Parameters<typeof webhooksCommand>[1] &
    Parameters<typeof replayCommand>[1]
  const program = new Command().exitOverride()
  replayCommand(webhooksCommand(program, open, missedUntilEnabled), open)
  const lines: string[] = []
  const written = t.mock.method(process.stdout, 'write', (text: string) => lines.push(text) > 0)
  try {
    await program.parseAsync(['webhooks', ...args.split(' ')], { from: 'user' })
  } finally {
    written.mock.restore()
  }
  return lines.join('')
}

type Delivering = Awaited<ReturnType<typeof delivering>>

test('the command that enabling names sends what was missed, and nothing that was never wanted', async (t) => {
  const all = await delivering(t)
  const { world, turn, endpoint } = all
  const to = await receiver(t, status(204))
  await endpoint((await receiver(t, status(204))).url)
  const { id } = await endpoint(to.url, { types: ['dead_letter.opened'] })
  await succeed(world, 3)
  await delivered(turn)
  world.clock.advance(1_000)
  await edit(world, id, { types: ['payment.*'] })
  await edit(world, id, OFF)
  await succeed(world, 2)
  await delivered(turn)
  const enabled = await said(t, all, `enable ${id}`)
  const [, command = ''] = /missed 2 events: payments webhooks (.*)\n/.exec(enabled) ?? []
  assert.match(command, new RegExp(`^replay ${id} --snapshot \\d+$`), enabled)
  assert.match(await said(t, all, `${command} --reason lost --yes`), /2 on their way/)
  world.clock.advance(1_000)
  await delivered(turn)
  assert.equal(to.received.length, 2)
  await assert.rejects(said(t, all, `${command} --reason lost --yes`), /replay_started/)
  await assert.rejects(said(t, all, 'replay 1 --snapshot 99 --reason r --yes'), /replay_not_found/)
})

test('no number of changes hides since when an endpoint wants what it missed, nor that it was enabled', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const { id } = await endpoint((await receiver(t, status(204))).url)
  await edit(world, id, OFF)
  await succeed(world, 3)
  await turn()
  world.clock.advance(HOUR_MS)
  for (let count = 0; count < 101; count += 1) await editEndpoint(world.db, id, {}, BY)
  assert.equal((await edit(world, id, ON))?.count, 3)
  for (let count = 0; count < 101; count += 1) await editEndpoint(world.db, id, {}, BY)
  assert.equal((await edit(world, id, ON))?.count, 3, 'the same request offers it again')
  world.clock.advance(25 * HOUR_MS)
  assert.equal(await edit(world, id, ON), null, 'for a day')
})
