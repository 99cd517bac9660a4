import assert from 'node:assert/strict'
import { after, before as first, describe, test } from 'node:test'
import { changed, problemsOf, wrongWith, type Case } from './hostile/case.ts'
import { BATCH_CASES, BODY_CASES, ITEM_REFUSALS } from './hostile/bodies.ts'
import { makeDatabase } from './databases.ts'
import { operationsOf, type Operation } from './hostile/document.ts'
import { AMOUNTS_TAKEN, FIELD_CASES } from './hostile/fields.ts'
import * as headers from './hostile/headers.ts'
import { BATCH, DEPOSIT, OPEN, requestOf, WITHDRAW } from './hostile/operations.ts'
import { cursorCases, foreignMethods, idCases, queryCases } from './hostile/paths.ts'
import { PIPELINED, SOCKET_CASES, SOCKETS_TAKEN } from './hostile/sockets.ts'
import { API, startTarget, type Target } from './hostile/target.ts'
import { bytesOf, raw, type Wire } from './hostile/wire.ts'

/**
 * No refusal takes more of the processor, in milliseconds, the service in this process included;
 * what takes more was read or computed in vain. Other programs do not use it up.
 */
const REFUSAL_CPU_MS_MAX = 1_000

let target: Target
let operations: readonly Operation[]
let database: Awaited<ReturnType<typeof makeDatabase>>

first(async () => {
  database = await makeDatabase('cloned')
  target = await startTarget(database.url)
  operations = await operationsOf(target)
  // User 1 has plenty, a history, and a dead letter; user 2 has nothing.
  await target.json('POST', OPEN.path, { balance: 1_000_000 })
  await target.json('POST', OPEN.path, { balance: 0 })
  for (let payment = 0; payment < 3; payment += 1) {
    await target.json('POST', DEPOSIT.path, { user_id: 1, deposit: 10 })
    await target.json('POST', WITHDRAW.path, { user_id: 1, amount: 1 })
  }
  await target.quiet()
  await target.turn({ decline: 1 })
  await target.json('POST', DEPOSIT.path, { user_id: 1, deposit: 10 })
  await target.quiet()
  await target.turn({ decline: 0 })
})

after(async () => {
  await target.stop()
  await database.drop()
})

/** Cases between two counts of all rows: counting takes longer than asking. */
const GROUP = 25

/** Send each case and demand its answer, and that no case changed a table. */
async function refuseAll(cases: readonly Case[]): Promise<void> {
  const wrong: string[] = []
  for (let start = 0; start < cases.length; start += GROUP) {
    const group = cases.slice(start, start + GROUP)
    const before = await target.rows()
    for (const one of group) wrong.push(...(await refuse(one)))
    const grown = changed(before, await target.rows())
    if (grown.length > 0) wrong.push(...grown, ...(await blame(group)))
  }
  assert.ok(cases.length > 0)
  assert.deepEqual(wrong, [])
}

async function refuse(expected: Case): Promise<string[]> {
  const before = process.cpuUsage()
  const answer = await target.ask(expected.request)
  const { user, system } = process.cpuUsage(before)
  const cpuMs = (user + system) / 1_000
  const found = wrongWith(expected, answer)
  if (cpuMs > REFUSAL_CPU_MS_MAX) found.push(`it took ${Math.round(cpuMs)} ms of the processor`)
  return found.map((what) => `${expected.name}: ${what}`)
}

/** Which cases of a group change rows when they are sent again, one by one. */
async function blame(group: readonly Case[]): Promise<string[]> {
  const guilty: string[] = []
  for (const { name, request } of group) {
    await target.quiet()
    const before = await target.rows()
    await target.ask(request)
    await target.quiet()
    if (changed(before, await target.rows()).length > 0) guilty.push(`it was ${name}`)
  }
  return guilty
}

/** Ask on a connection of its own; only what answers with 2xx may be asked so. */
async function status(request: Wire): Promise<number> {
  const { answer } = await raw(target.port, bytesOf(request))
  return answer?.status ?? 0
}

describe('a refused request changes no row, and its answer is a problem document', () => {
  test('bodies that are no document of the operation', () => refuseAll(BODY_CASES))
  test('batches that are none', () => refuseAll(BATCH_CASES))
  test('amounts and user ids', () => refuseAll(FIELD_CASES))
  test('media types, encodings, keys and expectations', () => refuseAll(headers.HEADER_CASES))
  test('paths whose id cannot be one', () => refuseAll(idCases(operations)))
  test('query parameters', () => refuseAll(queryCases(operations)))
  test('cursors that the list did not make', async () => refuseAll(cursorCases(await cursors())))
  test('bytes that are no request, which also close the connection', () => refuseSockets())
  test('what an operator may not write into the record', () => refuseAll(operatorCases()))
  test('names of files of the documentation', () => refuseAll(fileCases()))
  test('requests that a page of another site sends', () => refuseAll(siteCases()))
})

/** A cursor of each list and filter. */
async function cursors(): Promise<Record<string, string>> {
  const paths = [
    `${API}/payments`,
    `${API}/payments?user_id=1`,
    `${API}/payments?type=deposit`,
    `${API}/users/1/transactions`,
  ]
  const given: Record<string, string> = {}
  for (const path of paths) {
    const page = await target.json('GET', `${path}${path.includes('?') ? '&' : '?'}limit=1`)
    const { next_cursor: next } = page as { next_cursor: string | null }
    assert.ok(next, `${path} has a second page`)
    given[path] = next
  }
  return given
}

async function refuseSockets(): Promise<void> {
  const wrong: string[] = []
  const before = await target.rows()
  for (const { name, bytes, status: expected } of SOCKET_CASES) {
    const { answer, closed } = await raw(target.port, bytes)
    const found = wrongWith({ name, request: { path: '' }, status: expected }, answer)
    if (!closed) found.push('the connection stays open')
    wrong.push(...found.map((what) => `${name}: ${what}`))
  }
  assert.deepEqual([...wrong, ...changed(before, await target.rows())], [])
}

/** No name is looked for on the disk, so none of these is anything but unknown. */
function fileCases(): Case[] {
  const names = [
    '%00',
    '%2e%2e/x',
    '..%2f..%2fpackage.json',
    'x'.repeat(5_000),
    'index.html',
    '%ff',
  ]
  return names.map((name) => ({
    name: `a file ${name.slice(0, 30)}`,
    request: { path: `/docs/static/${name}` },
    status: 404,
    code: 'route_not_found' as const,
  }))
}

/**
 * On a loopback address no key is asked for: what a browser here may be made to send, both ways in.
 */
function siteCases(): Case[] {
  const pages = [
    [['Host', 'evil.test'], 'host_refused'],
    [['Origin', 'https://evil.test'], 'origin_refused'],
    [['Sec-Fetch-Site', 'cross-site'], 'origin_refused'],
  ] as const
  const operator = { method: 'POST', path: `${API}/dlq/1/resolve`, body: '{}' }
  // Neither has a body that a browser would have to ask for beforehand.
  const reset = { method: 'POST', path: `${API}/mock-gateway/reset` }
  const written = [requestOf(DEPOSIT), requestOf(WITHDRAW), operator, reset]
  return pages.flatMap(([header, code]) =>
    written.map((request) => ({
      name: `${request.path} with ${header.join(': ')}`,
      request: { ...request, headers: [header] },
      status: 403,
      code,
    })),
  )
}

/** Reasons and names that cannot be kept as a record; letter 1 is open. */
function operatorCases(): Case[] {
  const post = (path: string, body: unknown, actor?: string): Wire => ({
    method: 'POST',
    path: `${API}/dlq/1/${path}`,
    body: JSON.stringify(body),
    headers: actor === undefined ? [] : [['X-Actor', actor]],
  })
  const reasons = ['', 'a\u0000b', '\ud800', 'x'.repeat(501), 'a\u0007b', null, 1, ['x'], undefined]
  const misleading = ['a\u0085b', 'a\u202eb', '\u2066a', 'a\u2028b', 'a\u200fb', '\u200e']
  const actors = ['', ' ', 'a b', 'x'.repeat(101), 'caf\xe9', 'a\tb']
  const reserved = ['gateway', 'Gateway', 'key:abcdefghijkl', 'KEY:abc', 'cli:root']
  return ['redrive', 'resolve'].flatMap((path) => {
    const outcome = path === 'resolve' ? { outcome: 'failed' } : {}
    return [
      ...[...reasons, ...misleading].map((reason) => ({
        name: `${path} because of ${JSON.stringify(reason)?.slice(0, 30)}`,
        request: post(path, { ...outcome, reason }),
        status: 400,
      })),
      ...[...actors, ...reserved].map((actor) => ({
        name: `${path} by ${actor.slice(0, 30)}`,
        request: post(path, { ...outcome, reason: 'a reason' }, actor),
        status: 400,
      })),
    ]
  })
}

test('a method that a path does not take is answered with 405 and those it takes', async () => {
  const wrong: string[] = []
  const rows = await target.rows()
  for (const { request, allow } of foreignMethods(operations)) {
    const { answer } = await raw(target.port, bytesOf(request))
    const name = `${request.method} ${request.path}`
    const found = wrongWith({ name, request, status: 405, code: 'method_not_allowed' }, answer)
    const told = answer?.headers['allow']
    if (told !== allow) found.push(`Allow: ${told} instead of ${allow}`)
    if (found.length > 0) wrong.push(`${name}: ${found.join('; ')}`)
  }
  assert.deepEqual(wrong, [])
  assert.deepEqual(changed(rows, await target.rows()), [])
})

test('OPTIONS is answered with the methods, and invites no other origin', async () => {
  for (const { path } of operations) {
    const options = { method: 'OPTIONS', path, headers: [['Origin', 'https://evil.test']] } as const
    const { answer } = await raw(target.port, bytesOf(options))
    assert.equal(answer?.status, 204)
    assert.match(answer?.headers['allow'] ?? '', /\bOPTIONS\b/)
    const cors = Object.keys(answer?.headers ?? {}).filter((name) => name.startsWith('access-'))
    assert.deepEqual(cors, [])
  }
})

test('HEAD is answered like GET, without the body', async () => {
  for (const path of [`${API}/users/1`, `${API}/users/999999`, `${API}/payments`, '/livez']) {
    const got = await target.ask({ path })
    const head = await target.ask({ method: 'HEAD', path })
    assert.equal(head.status, got.status)
    assert.equal(head.headers['content-type'], got.headers['content-type'])
    assert.equal(head.headers['content-length'], got.headers['content-length'])
  }
})

test('an amount is read the same as a number and as a text', async () => {
  for (const [text, amount] of AMOUNTS_TAKEN) {
    const { answer } = await raw(target.port, bytesOf(requestOf(OPEN, { balance: text })))
    assert.equal(answer?.status, 201, text)
    assert.equal((JSON.parse(answer?.body ?? '') as { balance: number }).balance, amount, text)
  }
})

test('JSON in UTF-8 is taken however its media type is spelled', async () => {
  for (const type of headers.MEDIA_TAKEN) {
    const request = { ...requestOf(OPEN), headers: [['Content-Type', type]] } as const
    assert.equal(await status(request), 201, type)
  }
})

test('odd but correct requests are taken', async () => {
  for (const { name, bytes, status: expected } of SOCKETS_TAKEN) {
    const { answer } = await raw(target.port, bytes)
    assert.equal(answer?.status, expected, name)
  }
})

test('headers that mean nothing here change nothing', async () => {
  const { body } = await target.ask({ path: `${API}/users/1` })
  for (const given of headers.IGNORED) {
    const answer = await target.ask({ path: `${API}/users/1`, headers: given })
    assert.deepEqual([answer.status, answer.body], [200, body], given[0]?.join(': '))
  }
})

test('a request id that could harm a log is replaced', async () => {
  const ask = (id: string) =>
    target.ask({ path: `${API}/users/999999`, headers: [['X-Request-Id', id]] })
  assert.match((await ask('order_66-a')).body, /"instance":"order_66-a"/)
  for (const id of headers.REQUEST_IDS_REPLACED) {
    const answer = await ask(id)
    assert.deepEqual(problemsOf(answer), [])
    const { instance } = JSON.parse(answer.body) as { instance: string }
    assert.match(instance, /^[\w-]{1,64}$/)
    assert.equal(answer.headers['x-request-id'], instance)
  }
})

test('every visible key is taken, and a quoted one is the same as a bare one', async () => {
  const request = requestOf(DEPOSIT)
  const send = async (key: string) =>
    target.ask({ ...request, headers: [['Idempotency-Key', key]] })
  const answers = new Set<string>()
  for (const key of headers.KEYS_TAKEN) {
    const answer = await send(key)
    assert.equal(answer.status, 202, key)
    answers.add(answer.body)
    assert.equal((await send(key)).body, answer.body, key)
  }
  assert.equal(answers.size, headers.KEYS_TAKEN.length - 1)
  await target.quiet()
})

test('a key used for another request is refused and stores nothing', async () => {
  const key = [['Idempotency-Key', 'first-come']] as const
  await target.ask({ ...requestOf(DEPOSIT), headers: key })
  await target.quiet()
  const others = [
    requestOf(DEPOSIT, { deposit: '200.01' }),
    requestOf(DEPOSIT, { deposit: '"2000"' }),
    requestOf(WITHDRAW, { amount: '200' }),
  ]
  await refuseAll(
    others.map((request) => ({
      name: String(request.body),
      request: { ...request, headers: key },
      status: 422,
      code: 'idempotency_key_reuse' as const,
    })),
  )
})

test('a lack of funds stores nothing without a key, and one failed payment with it', async () => {
  const request = requestOf(WITHDRAW, { user_id: '2' })
  await refuseAll([{ name: 'no key', request, status: 402, code: 'insufficient_funds' }])
  const before = await target.rows()
  const keyed = { ...request, headers: [['Idempotency-Key', 'no-funds']] } as const
  for (let time = 0; time < 3; time += 1) assert.equal(await status(keyed), 402)
  const grown = changed(before, await target.rows())
  assert.deepEqual(grown, [
    `payments went from ${before['payments']} to ${(before['payments'] ?? 0) + 1} rows`,
  ])
})

test('a batch of refused items is taken, says so for each, and changes no row', async () => {
  const payments = `[${ITEM_REFUSALS.map(([item]) => item).join(',')}]`
  const before = await target.rows()
  const answer = await target.ask(requestOf(BATCH, { payments }))
  assert.equal(answer.status, 202)
  const { results } = JSON.parse(answer.body) as { results: { status: number }[] }
  assert.deepEqual(
    results.map((result) => result.status),
    ITEM_REFUSALS.map(([, expected]) => expected),
  )
  assert.deepEqual(changed(before, await target.rows()), [])
})

test('a request after one whose body was not read is not taken out of that body', async () => {
  const { answer } = await raw(target.port, PIPELINED)
  assert.equal(answer?.status, 415)
})

test('a client that hangs up in the middle is nobody’s bug', async () => {
  const half = bytesOf(requestOf(DEPOSIT)).subarray(0, -3)
  for (let time = 0; time < 20; time += 1) await hangUp(half)
  assert.equal(await status({ path: '/livez' }), 200)
})

async function hangUp(bytes: Buffer): Promise<void> {
  const { connect } = await import('node:net')
  await new Promise<void>((resolve) => {
    const socket = connect(target.port, '127.0.0.1', () => {
      socket.write(bytes, () => socket.resetAndDestroy())
    })
    socket.on('error', () => undefined).on('close', () => resolve())
  })
}

test('nothing that was sent here made the service log a bug', () => {
  assert.deepEqual(target.bugs, [])
})
