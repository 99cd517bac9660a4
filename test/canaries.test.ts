import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { logger } from '../src/adapters/log.ts'
import { loadConfig } from '../src/config/config.ts'
import { newKey } from '../src/domain/api-key.ts'
import { insertKey } from '../src/keys/store.ts'
import { startService } from '../src/process/start.ts'
import { cloneDatabase } from './databases.ts'
import { openDb, raw } from './harness.ts'

const ROLES = { api: true, worker: true, mockGateway: true }

const API = '/api/v1'

/** Send what is right, wrong and unreadable, with secrets wherever a client may put them. */
async function provoke(
  send: (method: string, path: string, body?: string, token?: string) => Promise<void>,
  cookie: string,
  token: string,
): Promise<void> {
  await send('POST', `${API}/users`, '{"balance": 10}')
  await send('POST', `${API}/payments/deposit`, '{"user_id": 1, "deposit": 5}')
  await send('POST', `${API}/payments/deposit`, '{"user_id": 1, "deposit": 6}')
  await send('POST', `${API}/payments/withdraw`, '{"user_id": 1, "amount": 500}')
  await send('POST', `${API}/payments/withdraw`, `{"${cookie}": 1}`)
  await send('POST', `${API}/payments/withdraw`, `{"user_id": "${cookie}", "amount": 1}`)
  await send('POST', `${API}/payments/withdraw`, `not json ${cookie}`)
  await send('GET', `${API}/payments?cursor=${cookie}`)
  await send('GET', `${API}/no/such/${cookie}`)
  await send('GET', `${API}/payments`, undefined, `${token}x`)
}

test('no secret is in any log line, answer or metric, whatever goes wrong', async (t) => {
  const url = await cloneDatabase(t)
  const lines: string[] = []
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    },
  })
  const credential = `canary-${randomBytes(12).toString('hex')}`
  const merchant = `canary-${randomBytes(12).toString('hex')}`
  const config = loadConfig({
    HOST: '0.0.0.0',
    PORT: '0',
    LOG_LEVEL: 'trace',
    LOG_FORMAT: 'json',
    GATEWAY_AUTHORIZATION: `Bearer ${credential}`,
    GATEWAY_HEADERS: JSON.stringify({ 'X-Merchant': merchant }),
  })
  const service = await startService(config, ROLES, logger(config, 'all', sink), { url, port: 0 })
  t.after(() => service.stop())
  const { global: db } = openDb(t, url)
  const key = newKey(randomBytes)
  await insertKey(db, key, 'canary', ['read', 'write', 'operate'])
  const idempotencyKey = `canary-${randomBytes(12).toString('hex')}`
  const cookie = `canary-${randomBytes(12).toString('hex')}`
  const secrets = [
    key.token,
    credential,
    merchant,
    key.token.slice(-43),
    idempotencyKey,
    cookie,
    decodeURIComponent(new URL(url).password),
  ].filter((secret) => secret !== '')

  const answers: string[] = []
  const send = async (method: string, path: string, body?: string, token = key.token) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'idempotency-key': idempotencyKey,
      cookie,
      'x-request-id': `${idempotencyKey} is not an id`,
      'content-type': 'application/json',
    }
    const init = body === undefined ? { method, headers } : { method, headers, body }
    const answer = await fetch(service.url + path, init)
    answers.push(JSON.stringify([...answer.headers]), await answer.text())
  }
  await provoke(send, cookie, key.token)
  // The database goes away under the service: errors of the driver are logged.
  await db.run(raw('alter table payments rename to payments_away'), [])
  await send('GET', `${API}/payments/1`)
  await send('POST', `${API}/payments/deposit`, '{"user_id": 1, "deposit": 7}')
  await db.run(raw('alter table payments_away rename to payments'), [])
  for (const path of ['/metrics', `${API}/metrics`, `${API}/dlq`, `${API}/health`]) {
    await send('GET', path)
  }

  assert.ok(lines.length > 5, 'something was logged')
  assert.ok(lines.join('').includes('payments'), 'the failures were logged')
  for (const secret of secrets) {
    assert.ok(
      !lines.some((line) => line.includes(secret)),
      `a log line holds ${secret.slice(0, 6)}…`,
    )
    const leaking = answers.find((answer) => answer.includes(secret))
    assert.equal(leaking, undefined, 'an answer holds a secret')
  }
})
