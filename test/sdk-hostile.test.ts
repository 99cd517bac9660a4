import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileKeys } from '../sdk/typescript/src/file-keys.ts'
import { connect, NoAnswer, OutcomeUnknown, type Options } from '../sdk/typescript/src/index.ts'
import {
  accepted,
  answer,
  BODY,
  lost,
  problem,
  refusedConnection,
  scripted,
} from './sdk-scripted.ts'

for (const [what, kept] of [
  ['nothing', undefined],
  ['null', null],
  ['an empty text', ''],
  ['a row', { key: 'k' }],
  ['a text that is no header', 'заказ'],
  ['a line end', 'a\nb'],
  ['a text that is too long', 'k'.repeat(256)],
  ['a quote', '"k"'],
] as const) {
  test(`a store that returns ${what} for a key ends the call before anything is sent`, async () => {
    const keys = { keyOf: () => kept as unknown as string }
    const { payments, sent } = scripted([], { keys })
    await assert.rejects(payments.deposit(BODY, { intent: 'order-1' }), /no Idempotency-Key/)
    assert.equal(sent.length, 0)
  })
}

test('a key of the caller’s that the service would not read is never sent', async () => {
  const { payments, sent } = scripted([])
  for (const key of ['', 'a b', 'é', 'k'.repeat(256)]) {
    await assert.rejects(payments.deposit(BODY, { key }), /no Idempotency-Key/)
  }
  assert.equal(sent.length, 0)
})

test('an intent without a name is none, and no call has two names', async () => {
  const { payments, sent } = scripted([], { keys: { keyOf: (_, fresh) => fresh } })
  await assert.rejects(payments.deposit(BODY, { intent: '' }), /An intent is a text/)
  const both = { intent: 'order-1', key: 'order-1' }
  await assert.rejects(payments.deposit(BODY, both), /a key or an intent/)
  assert.equal(sent.length, 0)
})

test('a caller does not wait for a store longer than it wants', async () => {
  const controller = new AbortController()
  const keys = {
    keyOf() {
      controller.abort(new Error('enough'))
      return new Promise<string>(() => undefined)
    },
  }
  const { payments, sent } = scripted([], { keys })
  const call = payments.deposit(BODY, { intent: 'order-1', signal: controller.signal })
  await assert.rejects(call, /enough/)
  assert.equal(sent.length, 0)
})

test('whatever reason a caller gives, a call that it ends in the middle may have been done', async () => {
  const controller = new AbortController()
  const { signal } = controller
  const { payments } = scripted([
    () => {
      // Such as that of another call, of several that are ended together.
      controller.abort(new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } }))
      return Promise.reject(signal.reason as Error)
    },
  ])
  await assert.rejects(payments.deposit(BODY, { signal }), OutcomeUnknown)
})

test('a call that is ended in a pause is only unknown where a try may have been done', async () => {
  for (const [before, error] of [
    [problem(503, 'busy'), /enough/],
    [refusedConnection, /enough/],
    [lost, OutcomeUnknown],
  ] as const) {
    const controller = new AbortController()
    const sleep = async () => controller.abort(new Error('enough'))
    const { payments, sent } = scripted([before], { sleep })
    await assert.rejects(payments.deposit(BODY, { signal: controller.signal }), error)
    assert.equal(sent.length, 1)
  }
})

test('a transport that does not listen to its signal is not waited for', async () => {
  const deaf: typeof fetch = () => new Promise(() => undefined)
  const { payments } = scripted([], { fetch: deaf, attemptMsMax: 1, attemptsMax: 2 })
  await assert.rejects(payments.deposit(BODY), OutcomeUnknown)
})

for (const [name, reaction] of [
  ['a page that says yes to everything', answer(200, { ok: true })],
  ['an empty yes', answer(202, {})],
  ['a list', answer(202, [])],
  ['a yes without a body', () => new Response(null, { status: 204 })],
  ['the error of a proxy that has a code', answer(404, { code: 5, message: 'no route' })],
  ['the error of a proxy with a code and a status', answer(402, { code: 'x', status: 402 })],
  ['a problem with another status', answer(502, { ...PROBLEM(), status: 402 })],
  ['a redirect that looks like a problem', answer(302, { ...PROBLEM(), status: 302 })],
] as const) {
  test(`${name} is no word about a payment: it is asked for again`, async () => {
    const { payments, sent } = scripted([reaction, accepted])
    const done = await payments.deposit(BODY)
    assert.ok(done.ok && done.payment.payment_id === 1)
    assert.deepEqual(sent[1], sent[0])
  })
}

function PROBLEM() {
  return { code: 'insufficient_funds', title: '', detail: '', type: '', instance: '1' }
}

test('a pause that a proxy asks for is kept, and one that is said as a time, by its own clock', async () => {
  const page = (headers: Record<string, string>) => () =>
    new Response('busy', { status: 503, headers })
  const later = { date: 'Fri, 01 Jan 1999 00:00:00 GMT' }
  const { payments, pauses } = scripted([
    page({ 'retry-after': '7' }),
    page({ ...later, 'retry-after': 'Fri, 01 Jan 1999 00:00:09 GMT' }),
    page({ ...later, 'retry-after': 'Thu, 31 Dec 1998 00:00:09 GMT' }),
    accepted,
  ])
  await payments.deposit(BODY)
  assert.deepEqual(pauses, [7_125, 9_250, 500])
})

test('Retry-After of many digits is a long time, and not none', async () => {
  const long = problem(503, 'busy', { 'retry-after': '99999999' })
  const { payments, sent } = scripted([long])
  assert.equal((await payments.deposit(BODY)).ok, false)
  assert.equal(sent.length, 1)
})

test('a change without a key that may have been done is no refusal', async () => {
  const broken = problem(500, 'internal_error')
  const one = scripted([broken])
  await assert.rejects(one.webhookEndpoints.rotateSecret(1), NoAnswer)
  const unknown = scripted([problem(503, 'outcome_unknown')])
  await assert.rejects(unknown.webhookEndpoints.rotateSecret(1), NoAnswer)
  const lostFirst = scripted([lost, problem(503, 'busy')], { attemptsMax: 2 })
  await assert.rejects(lostFirst.payments.update(1, { description: 'blue' }), NoAnswer)
  const busy = scripted([problem(503, 'busy')])
  assert.equal((await busy.webhookEndpoints.rotateSecret(1)).ok, false)
  const read = scripted([broken], { attemptsMax: 1 })
  assert.equal((await read.payments.get(1)).ok, false)
})

test('what no request can be made of is a mistake, and no lost payment', async () => {
  const { payments: refunds, sent } = scripted([])
  for (const actor of ['a\nb', '\u042f']) {
    const canceled = refunds.cancel(1, { reason: 'r' }, { actor })
    await assert.rejects(canceled, { name: 'TypeError', message: /The actor/ })
  }
  assert.equal(sent.length, 0)
})

test('options that nothing could be sent with, or for ever, are refused at once', () => {
  const wrong: readonly Partial<Options>[] = [
    { url: 'payments.example' },
    { url: 'ftp://payments.example' },
    { url: 'https://me:secret@payments.example' },
    { url: 'https://payments.example/?a=1' },
    { url: 'https://payments.example/#a' },
    { url: 'https://payments.example?' },
    { url: 'https://payments.example/#' },
    { apiKey: '' },
    { apiKey: 'pay_\u20ac' },
    { attemptsMax: 0 },
    { attemptsMax: Number.NaN },
    { attemptsMax: 1.5 },
    { attemptMsMax: 0 },
    { attemptMsMax: Number.NaN },
  ]
  for (const one of wrong) {
    assert.throws(() => connect({ url: 'https://payments.example', ...one }), TypeError)
  }
})

test('a key of two lines is refused, and stands in no error', () => {
  for (const apiKey of ['pay_secret\nmore', ' pay_secret', 'pay_secret\r\n']) {
    assert.throws(
      () => connect({ url: 'https://payments.example', apiKey }),
      (error: Error) => error instanceof TypeError && !error.message.includes('secret'),
    )
  }
})

test('a name that is undefined makes no payment under a name that nobody knows', async () => {
  const keys = { keyOf: (_: string, fresh: string) => Promise.resolve(fresh) }
  const { payments, sent } = scripted([], { keys })
  for (const named of [{ intent: undefined }, { key: undefined }]) {
    await assert.rejects(payments.deposit(BODY, named as object), /undefined/)
  }
  assert.equal(sent.length, 0)
})

test('a wait comes to its end although the service hangs', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let tries = 0
  const hanging = (_url: unknown, init?: RequestInit) =>
    new Promise<Response>((_, reject) => {
      tries += 1
      init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error))
    })
  const { payments } = scripted([], { fetch: hanging as typeof fetch })
  const waiting = payments.wait(1, { until: 'final', timeoutMs: 1_000 })
  const ended = assert.rejects(waiting, NoAnswer)
  await Promise.resolve()
  t.mock.timers.tick(6_000)
  await ended
  assert.equal(tries, 1)
  const aborter = new AbortController()
  const stopped = payments.wait(1, { until: 'final', signal: aborter.signal })
  aborter.abort(new Error('nobody waits any more'))
  await assert.rejects(stopped, /nobody waits/)
})

test('a try without an end of its own is not ended at once', async () => {
  const { payments } = scripted([accepted], { attemptMsMax: Infinity })
  assert.ok((await payments.deposit(BODY)).ok)
})

test('a wait lasts as long as it was asked to, by a clock that is never set, however soon each answer comes', async () => {
  const clock = { ms: 5_000 }
  const waits: string[] = []
  const { payments } = scripted([], {
    now: () => clock.ms,
    sleep: async () => undefined,
    async fetch(url) {
      waits.push(new URL(url as string).searchParams.get('wait') ?? '')
      clock.ms += 700
      return Response.json({ payment_id: 1, status: 'processing' })
    },
  })
  const left = await payments.wait(1, { until: 'final', timeoutMs: 2_000 })
  assert.ok(left.ok && left.payment.status === 'processing')
  assert.deepEqual(waits, ['2', '2', '1'])
})

test('letters that are dealt with while they are listed do not hide others', async () => {
  const letters = Array.from({ length: 25 }, (_, index) => {
    return { id: 25 - index, state: 'open', created_at: `2030-01-01T00:00:${60 - index}Z` }
  })
  let asked = 0
  const { deadLetters } = scripted([], {
    async fetch(url) {
      asked += 1
      const query = new URL(url as string).searchParams
      const [offset, limit] = [Number(query.get('offset')), Number(query.get('limit'))]
      const left = letters.filter(({ state }) => state === 'open')
      return Response.json(left.slice(offset, offset + limit))
    },
  })
  const seen: number[] = []
  for await (const { id } of deadLetters.list({ state: 'open', limit: 10 })) {
    seen.push(id)
    const letter = letters.find((one) => one.id === id)
    if (letter !== undefined) letter.state = 'resolved'
    // Who came later is for the next list.
    letters.unshift({ id: 100 + id, state: 'open', created_at: '2030-01-02T00:00:00Z' })
  }
  assert.deepEqual(
    seen.toSorted((one, other) => one - other),
    Array.from({ length: 25 }, (_, index) => index + 1),
  )
  assert.ok(asked < 30, String(asked))
})

/** A path for a file of keys. */
function keysPath(): string {
  return join(mkdtempSync(join(process.env['TEST_FOLDER'] ?? '/tmp', 'keys-')), 'keys')
}

test('two who share a file of keys use the same key for an intent', async () => {
  const path = keysPath()
  const [one, other] = [await fileKeys(path), await fileKeys(path)]
  const names = Array.from({ length: 50 }, (_, index) => `order-${index}`)
  const keysOf = (keys: typeof one, by: string) =>
    Promise.all(names.map((name) => keys.keyOf(name, `${by}-${name}`)))
  const [first, second] = await Promise.all([keysOf(one, 'a'), keysOf(other, 'b')])
  assert.deepEqual(first, second)
  await one.close()
  assert.deepEqual(await keysOf(other, 'c'), first)
  await other.close()
  const third = await fileKeys(path)
  assert.deepEqual(await keysOf(third, 'd'), first)
  await third.close()
})

test('who comes second to a shared file of keys uses the key of the first', async () => {
  const path = keysPath()
  const [one, other] = [await fileKeys(path), await fileKeys(path)]
  assert.equal(await one.keyOf('order-1', 'key-1'), 'key-1')
  assert.equal(await other.keyOf('order-1', 'key-2'), 'key-1')
  await one.close()
  await other.close()
  const third = await fileKeys(path)
  assert.equal(await third.keyOf('order-1', 'key-3'), 'key-1')
  await third.close()
})

test('a key whose line may be on the disk is not replaced by another after a failure', async (t) => {
  const path = keysPath()
  const handle = await open(path, 'a')
  const files = Object.getPrototypeOf(handle) as typeof handle
  await handle.close()
  const keys = await fileKeys(path)
  const broken = t.mock.method(files, 'datasync', () => Promise.reject(new Error('EIO')))
  const call = async () => keys.keyOf('order-1', 'key-1')
  await assert.rejects(call, /EIO/)
  broken.mock.restore()
  assert.equal(await keys.keyOf('order-1', 'key-2'), 'key-1')
  await keys.close()
  const later = await fileKeys(path)
  assert.equal(await later.keyOf('order-1', 'key-3'), 'key-1')
  await later.close()
})

test('a file of keys is read whole, also where characters and lines lie across its blocks', async () => {
  const path = keysPath()
  const intents = Array.from({ length: 400 }, (_, index) => `${'ж'.repeat(300 + index)}`)
  const lines = intents.map((intent, index) => JSON.stringify([intent, `key-${index}`]))
  writeFileSync(path, `${lines.join('\n')}\n`)
  assert.ok(readFileSync(path).length > 2 * 65_536)
  const keys = await fileKeys(path)
  for (const [index, intent] of intents.entries()) {
    assert.equal(await keys.keyOf(intent, 'another'), `key-${index}`)
  }
  await keys.close()
})
