import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { postgres } from '../src/adapters/postgres.ts'
import { Unavailable } from '../src/ports.ts'
import { cloneDatabase } from './databases.ts'
import { raw } from './harness.ts'

/** A way to the server that counts who takes it. */
async function way(t: TestContext, url: string) {
  const { hostname, port } = new URL(url)
  let taken = 0
  const listening = createServer((socket) => {
    taken += 1
    const onward = connect(Number(port), hostname)
    for (const each of [socket, onward]) each.on('error', () => undefined)
    socket.pipe(onward).pipe(socket)
  })
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  t.after(() => listening.close())
  return { host: `127.0.0.1:${(listening.address() as AddressInfo).port}`, taken: () => taken }
}

test('a pool that is full says nothing against its server', async (t) => {
  const url = await cloneDatabase(t)
  const [first, second] = [await way(t, url), await way(t, url)]
  const db = postgres({
    url: url.replace(new URL(url).host, `${first.host},${second.host}`),
    currency: 'USD',
    shards: 1,
    poolMax: 1,
    connectTimeoutMs: 100,
    statementTimeoutMs: 20_000,
    lockTimeoutMs: 10_000,
    idleTransactionTimeoutMs: 20_000,
    name: 'full',
  })
  const select = raw<{ one: number }>('select 1 as one')
  await db.of(0n).transaction(async (tx) => {
    await tx.run(select, [])
    await assert.rejects(db.global.run(select, []), Unavailable)
  })
  assert.deepEqual(await db.global.run(select, []), [{ one: 1 }])
  assert.equal(second.taken(), 0)
  await db.close()
})
