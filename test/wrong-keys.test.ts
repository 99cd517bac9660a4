import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify from 'fastify'
import type { Checked } from '../src/domain/api-key.ts'
import { guard, openGuards } from '../src/http/auth.ts'
import { Unavailable } from '../src/ports.ts'
import { manualClock } from './harness.ts'

/** How many wrong keys an address may send in a minute. */
const WRONG_MAX = 30

/** A server with one guarded route, whose keys are looked up by `check`. */
function guarded(check: (token: string, patient: boolean) => Promise<Checked>) {
  const patience: boolean[] = []
  const clock = manualClock()
  const keys = {
    check(token: string, patient = false) {
      patience.push(patient)
      return check(token, patient)
    },
    peek: (token: string): Checked | null => (token === 'known' ? found('known') : null),
  }
  const app = Fastify()
  // Requests that are injected lack what real ones have.
  app.addHook('onRequest', ({ raw }, _, done) => {
    const { authorization } = raw.headers
    const headersDistinct = authorization === undefined ? {} : { authorization: [authorization] }
    Object.assign(raw, { headersDistinct })
    done()
  })
  guard(app, openGuards(clock, { keys }))
  app.get('/books', () => ({}))
  app.setErrorHandler((error, _, reply) => {
    void reply.code(error instanceof Unavailable ? 503 : 500).send({})
  })
  const ask = async (authorization?: string, remoteAddress = '192.0.2.1') => {
    const headers = authorization === undefined ? {} : { authorization }
    return app.inject({ method: 'GET', url: '/books', headers, remoteAddress })
  }
  const statuses = async (count: number, ...how: Parameters<typeof ask>) => {
    const answers = await Promise.all(Array.from({ length: count }, () => ask(...how)))
    return answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)
  }
  return { ask, statuses, patience, clock }
}

const found = (id: string): Checked => ({ ok: true, id, scopes: ['read'] })
const WRONG: Checked = { ok: false }
const times = (count: number, status: number): number[] => Array<number>(count).fill(status)

test('while keys cannot be looked up nobody is let in, and nobody has sent a wrong key', async () => {
  const database = { away: true }
  const { statuses, patience } = guarded(() =>
    database.away ? Promise.reject(new Unavailable('away')) : Promise.resolve(WRONG),
  )
  for (const _ of [1, 2, 3]) {
    assert.deepEqual(await statuses(WRONG_MAX, 'Bearer any'), times(WRONG_MAX, 503))
  }
  assert.ok(!patience.includes(true), 'nobody has to wait for others')
  database.away = false
  assert.deepEqual(await statuses(WRONG_MAX, 'Bearer any'), times(WRONG_MAX, 401))
  assert.deepEqual(await statuses(1, 'Bearer any'), [429])
  // Past the limit nothing is reserved, so nothing is given back.
  database.away = true
  assert.deepEqual(await statuses(3, 'Bearer any'), times(3, 503))
  database.away = false
  assert.deepEqual(await statuses(1, 'Bearer any'), [429])
})

test('keys that turn out to be right leave room for as many wrong ones as before', async () => {
  const { statuses, patience } = guarded((token) =>
    Promise.resolve(token === 'right' ? found('right') : WRONG),
  )
  for (const _ of [1, 2, 3]) {
    assert.deepEqual(await statuses(WRONG_MAX, 'Bearer right'), times(WRONG_MAX, 200))
  }
  assert.deepEqual(await statuses(WRONG_MAX, 'Bearer wrong'), times(WRONG_MAX, 401))
  // Now whoever is looked up is a suspect, and a right key passes without making room.
  assert.deepEqual(await statuses(2, 'Bearer right'), times(2, 200))
  assert.deepEqual(patience.slice(-2), [true, true])
  assert.deepEqual(await statuses(2, 'Bearer wrong'), times(2, 429))
})

test('however many wrong keys come at once, no more than the limit are looked up in a hurry', async () => {
  const { statuses, patience } = guarded(() => Promise.resolve(WRONG))
  const given = await statuses(100, 'Bearer wrong')
  assert.deepEqual(given, [...times(WRONG_MAX, 401), ...times(70, 429)])
  assert.equal(patience.filter((patient) => !patient).length, WRONG_MAX)
})

test('what is no token counts as a wrong key without being looked up, and no credentials count as nothing', async () => {
  const { ask, statuses, patience, clock } = guarded(() => Promise.resolve(WRONG))
  assert.deepEqual(await statuses(100), times(100, 401))
  assert.deepEqual(await statuses(WRONG_MAX, 'Basic abc'), times(WRONG_MAX, 401))
  const told = await ask('Basic abc')
  assert.equal(told.statusCode, 429)
  assert.equal(told.headers['retry-after'], '60')
  assert.deepEqual(patience, [])
  // A key that is known asks nobody, another address is counted by itself, a minute ends.
  assert.deepEqual(await statuses(1, 'Bearer known'), [200])
  assert.deepEqual(await statuses(1, 'Basic abc', '192.0.2.2'), [401])
  clock.advance(60_000)
  assert.deepEqual(await statuses(1, 'Basic abc'), [401])
})
