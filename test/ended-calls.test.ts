import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { publicAddresses } from '../src/adapters/public-address.ts'
import { webhookSender } from '../src/adapters/webhook-sender.ts'
import { abortWatch } from '../src/domain/abort-watch.ts'
import { httpClient } from '../src/gateways/http-exchange.ts'
import { manualClock } from './harness.ts'

const CALLS = 20
/** A connection keeps what it carried last. */
const KEPT_MAX = 2

type Call = (signal: AbortSignal) => Promise<WeakRef<object>>

/** What makes a call that ends, and gives something that nothing but the call has. */
const CALLERS: Readonly<Record<string, (t: TestContext, origin: string) => Call>> = {
  'of a gateway': (t, origin) => {
    const options = { origin, timeoutMs: 60_000, connections: 1, keepAlive: true }
    const client = httpClient(options)
    t.after(() => client.close())
    return async (signal) => {
      const judge = () => 'keep' as const
      const call = { method: 'GET', path: '/', headers: [], body: null } as const
      const { kind } = await client.exchange({ ...call, headers: [] }, signal, judge)
      assert.equal(kind, 'reply')
      return new WeakRef(judge)
    }
  },
  'of an endpoint': (t, origin) => {
    const allowed = publicAddresses([], true)
    const sender = webhookSender({ allowed, clock: manualClock(), deadlineMs: 60_000 })
    t.after(() => sender.close())
    return async (signal) => {
      const call = { url: `${origin}/`, headers: {}, body: '{}' }
      assert.equal((await sender.send(call, signal)).status, 200)
      return new WeakRef(call)
    }
  },
  'that is only watched': () => {
    const watch = abortWatch()
    return (signal) => {
      const cut = () => undefined
      watch(signal, cut)()
      return Promise.resolve(new WeakRef(cut))
    }
  },
}

/** Forget what nobody has any more. A weak reference holds what it gave until the turn ends. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void // The flag makes it one.
  for (let time = 0; time < 3; time += 1) {
    await setImmediate()
    gc()
  }
}

for (const [name, open] of Object.entries(CALLERS)) {
  test(`a call ${name} is forgotten once it has ended, however long its signal lives`, async (t) => {
    const server = createServer((_request, response) => void response.end('{}'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo
    const call = open(t, `http://127.0.0.1:${port}`)
    const stopping = new AbortController()
    const made: WeakRef<object>[] = []
    for (let count = 0; count < CALLS; count += 1) made.push(await call(stopping.signal))
    await collect()
    const kept = made.filter((one) => one.deref() !== undefined)
    assert.ok(kept.length <= KEPT_MAX, `${kept.length} of ${CALLS} are kept`)
    assert.equal(stopping.signal.aborted, false)
  })
}
