import assert from 'node:assert/strict'
import { test } from 'node:test'
import { format, report } from '../tools/demo/report.ts'
import { runVerify } from '../src/verify/command.ts'
import { wrapped } from '../src/adapters/terminal.ts'
import { cloneDatabase } from './databases.ts'
import { testWorld } from './harness.ts'
import { launch } from './programs.ts'
import { busyHistory } from './verify-history.ts'

test('a text is broken between words, and what stands in front of it stays free', () => {
  assert.equal(wrapped('one two three', 4, 12), 'one two\n    three')
  assert.equal(wrapped('unbreakable words', 4, 8), 'unbreakable\n    words')
  assert.equal(wrapped('', 4, 8), '')
})

test('the report of verify fits into 80 columns, or into the terminal', async (t) => {
  const world = await testWorld(t)
  await busyHistory(world, 1)
  await world.sql('update users set available = available + 1 where id = 2')
  const written = async (columns?: number) => {
    let text = ''
    const out = { write: (more: string) => (text += more), ...(columns && { columns }) }
    const opened = { ...world, shards: 1, gateways: [], close: async () => undefined }
    assert.equal(await runVerify(opened, {}, { out, err: { write: () => true } }), 1)
    return text.split('\n')
  }
  for (const [columns, given] of [
    [80, undefined],
    [120, 120],
  ] as const) {
    const lines = await written(given)
    assert.ok(lines.length > 30, String(lines.length))
    for (const line of lines) assert.ok(line.length <= columns, line)
  }
  const [wide, narrow] = [await written(200), await written()]
  assert.deepEqual(wide.join(' ').split(/\s+/).length, narrow.join(' ').split(/\s+/).length)
})

test('the report of the demo fits into 80 columns', () => {
  const detail = 'with a detail that says a little more than would fit into what is left of a line'
  const checks = [
    { name: 'Every payment that was accepted is final or in doubt', ok: false, detail },
  ]
  const accepted = { ids: [], refused: 0, repeated: 0, latenciesMs: [], tookMs: 1 }
  const run = { accepted, payments: new Map() } as unknown as Parameters<typeof report>[1]
  const [user_held, gateway, fees, losses] = [0, -4_999_999.99, 99_999.99, -1.5]
  const accounts = { user: 1_000_000.01, user_held, gateway, fees, losses, opening: -99_000_000 }
  const books = [{ currency: 'USD', accounts, sum: 0 }]
  const figures = report({ users: 1, clients: 1, seed: 1 }, run, 0, checks)
  const text = format({ ...figures, books })
  assert.match(text, /Books +user +user_held +gateway/)
  for (const line of text.split('\n')) assert.ok(line.length <= 80, line)
})

test('a process says once where it listens', async (t) => {
  const service = await launch(t, 'api', { DATABASE_URL: await cloneDatabase(t) })
  const said = service
    .stdout()
    .split('\n')
    .filter((line) => /listening/i.test(line))
  assert.equal(said.length, 1, said.join('\n'))
})
