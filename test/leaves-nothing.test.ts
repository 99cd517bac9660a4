import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { test } from 'node:test'
import { pino } from 'pino'
import { loadConfig } from '../src/config/config.ts'
import type { Roles } from '../src/process/shared.ts'
import { startService } from '../src/process/start.ts'
import { cloneDatabase } from './databases.ts'
import { API, BUSY, CALM, FAST, MOCK, post, send, until } from './process-kit.ts'
import { turnGateway } from '../tools/client.ts'

/** How many of such a kind keep this process alive. */
function held(kind: 'TCPSocketWrap' | 'TCPServerWrap' | 'UDPWrap'): number {
  return process.getActiveResourcesInfo().filter((name) => name === kind).length
}

/** Timers that the service has set and that go on, by where: also those that keep nobody alive. */
const timers = new Map<number, string>()
createHook({
  init(id, type) {
    if (type !== 'Timeout') return
    const [, place] = /\/src\/(\S+?):/.exec(new Error('set').stack ?? '') ?? []
    if (place !== undefined) timers.set(id, place)
  },
  destroy: (id) => timers.delete(id),
}).enable()

const ROLES: readonly Roles[] = [
  { api: true, worker: true, mockGateway: true },
  { api: true, worker: false, mockGateway: false },
  { api: false, worker: true, mockGateway: false },
  { api: false, worker: false, mockGateway: true },
]

for (const roles of ROLES) {
  const names = Object.entries(roles).flatMap(([name, has]) => (has ? [name] : []))
  test(`a service that has stopped leaves nothing behind that goes on: ${names.join(', ')}`, async (t) => {
    const url = await cloneDatabase(t)
    const log = pino({ level: 'silent' })
    const elsewhere = { PAYMENT_GATEWAY_URL: 'http://127.0.0.1:9' }
    const config = loadConfig({
      LOG_LEVEL: 'silent',
      ...BUSY,
      ...FAST,
      STATSD_URL: 'udp://127.0.0.1:9',
      ...(roles.worker && !roles.mockGateway ? elsewhere : {}),
    })
    const service = await startService(config, roles, log, { url, port: 0 })
    assert.equal((await send(`${service.url}/metrics`, 'GET')).status, 200)
    assert.notDeepEqual([...timers.values()], [], 'timers are seen')
    if (names.length === 3) {
      await turnGateway(service.url + MOCK, CALM)
      const user = await post(`${service.url + API}/users`, { balance: 0 })
      const body = { user_id: user.json['id'], deposit: 1 }
      const paid = await post(`${service.url + API}/payments/deposit`, body)
      const path = `${API}/payments/${String(paid.json['payment_id'])}`
      await until('it is charged', async () => {
        return (await send(service.url + path, 'GET')).json['status'] === 'success'
      })
    }
    await service.stop()
    // What is gone is told on a later turn.
    for (let turn = 0; turn < 10; turn += 1) await new Promise((done) => setImmediate(done))
    assert.deepEqual([...timers.values()], [], 'timers go on')
    for (const kind of ['TCPSocketWrap', 'TCPServerWrap', 'UDPWrap'] as const) {
      await until(`no ${kind} is left`, () => held(kind) === 0)
    }
  })
}
