import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../src/adapters/embedded-postgres.ts'
import type { EmbeddedOptions } from '../src/adapters/embedded-session.ts'
import { killTree } from '../src/adapters/embedded-server.ts'
import { until } from './process-kit.ts'

/** Start a server in a folder of its own; it stops when the test ends. */
async function start(t: TestContext, options: Omit<EmbeddedOptions, 'dataDir'>) {
  const folder = await fs.mkdtemp(join(process.env['TEST_FOLDER'] ?? tmpdir(), 'payments-port-'))
  await fs.chmod(folder, 0o711)
  const server = await startEmbeddedPostgres({ ...options, dataDir: join(folder, 'data') })
  t.after(async () => {
    await server.stop()
    await fs.rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return server
}

async function answers({ url }: EmbeddedPostgres): Promise<boolean> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('select 1')
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** Kill a server, and be on its port before it can be started again. */
async function takePort(server: EmbeddedPostgres, told: readonly string[]) {
  const gone = () => told.filter((line) => line.endsWith('is gone: looking after it')).length
  for (;;) {
    const times = gone()
    killTree(server.pid)
    // Killed just when it was started again, it may be back without having been missed.
    await until('it is missed, or back', async () => gone() > times || (await answers(server)))
    const blocker = createServer((link) => link.destroy()).listen(server.port, '127.0.0.1')
    const taken = await once(blocker, 'listening').then(
      () => true,
      () => false,
    )
    if (taken) return blocker
    // Its keeper was quicker: once more, when it is back.
    await until('it answers', () => answers(server))
  }
}

test('a server whose port another program has is started again when that program leaves', async (t) => {
  const [told, lost]: [string[], Error[]] = [[], []]
  const log = (line: string) => void told.push(line)
  const portWaitsMs = Array.from({ length: 10_000 }, () => 10)
  const onLost = (error: Error) => void lost.push(error)
  const server = await start(t, { log, portWaitsMs, onLost })
  const blocker = await takePort(server, told)
  t.after(() => blocker.close())
  await until('it says so', () => told.some((line) => line.startsWith('Another program has port')))
  await promisify(blocker.close.bind(blocker))()
  await until('it answers again', () => {
    if (lost[0] !== undefined) throw lost[0]
    return answers(server)
  })
})

test('a server whose port another program keeps is given up, with what to do', async (t) => {
  const [told, lost]: [string[], Error[]] = [[], []]
  const log = (line: string) => void told.push(line)
  const onLost = (error: Error) => void lost.push(error)
  const server = await start(t, { log, portWaitsMs: [0, 0], onLost })
  const blocker = await takePort(server, told)
  t.after(() => blocker.close())
  await until('it is given up', () => lost.length > 0)
  assert.match(
    lost[0]?.message ?? '',
    /^PostgreSQL was given up: another program has its port \d+; end that program, then start this/,
  )
  await promisify(blocker.close.bind(blocker))()
})
