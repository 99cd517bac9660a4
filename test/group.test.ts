import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { cloneDatabase } from './databases.ts'
import { API, get, range, send, until } from './process-kit.ts'
import { dataFolder, launch, listening, run, start } from './programs.ts'

/** Start the service as a group of processes, with the options of a test. */
async function grouped(t: TestContext, count: number, env: Readonly<Record<string, string>> = {}) {
  const ports = { PORT: '0', WORKER_PORT: '0', MOCK_GATEWAY_PORT: '0' }
  const settings = { ...ports, DATABASE_URL: await cloneDatabase(t), ...env }
  const started = await start(t, ['start', '--processes', String(count)], settings)
  const url = await until('all of them listen', () => {
    assert.equal(started.child.exitCode, null, started.output().join('\n'))
    return listening(started.output()[0])
  })
  /** The processes that say they live. */
  const pids = async () => {
    const { data } = await get<{ data: readonly Listed[] }>(`${url}${API}/processes`)
    return data.filter(({ alive }) => alive).map(({ pid }) => pid)
  }
  const all = (others: readonly number[] = []) =>
    until('as many live as are wanted', async () => {
      const found = (await pids()).filter((pid) => !others.includes(pid))
      return found.length === count && found
    })
  return { ...started, url, pids, all }
}

interface Listed {
  readonly pid: number
  readonly alive: boolean
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('processes that share a port are one service: its payments, its metrics, its end', async (t) => {
  const { child, url, all, ended, output } = await grouped(t, 3)
  const pids = await all()
  assert.ok(!pids.includes(child.pid ?? 0))
  const opened = await send(`${url}${API}/users/`, 'POST', '{"balance": 1000}')
  assert.equal(opened.status, 201)
  // Each with a connection of its own, so that all of them are asked.
  const body = JSON.stringify({ user_id: opened.json['id'], deposit: 10 })
  const paid = await Promise.all(
    range(30).map(() => send(`${url}${API}/payments/deposit/`, 'POST', body)),
  )
  assert.ok(paid.every(({ status }) => status === 202))
  const number = (text: string, name: RegExp) => Number(name.exec(text)?.[1])
  for (const _ of range(4)) {
    const { text } = await send(`${url}/metrics`, 'GET')
    const counted = /request_duration_seconds_count\{[^}]*payments\/deposit"[^}]*\} (\d+)/
    assert.equal(number(text, counted), 30)
    assert.equal(number(text, /^payments_build_info\{.*\} (\d+)/m), 1)
    // Of the database, not once for each process.
    assert.equal(number(text, /^payments_task_enqueued_total (\d+)/m), 30)
  }
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
  assert.deepEqual(pids.filter(lives), [])
  assert.equal(output()[1], '')
})

test('a process that is killed is replaced, and the others answer meanwhile', async (t) => {
  const { url, all } = await grouped(t, 2)
  const [first = 0, second = 0] = await all()
  process.kill(first, 'SIGKILL')
  const now = await until('another has taken its place', async () => {
    assert.equal((await send(`${url}/readyz`, 'GET')).status, 200)
    const { data } = await get<{ data: readonly Listed[] }>(`${url}${API}/processes`)
    const found = data.map(({ pid }) => pid).filter((pid) => pid !== first)
    return found.length === 2 && found
  })
  assert.ok(now.includes(second))
})

test('SIGHUP starts every process anew, and no request notices', async (t) => {
  const { child, url, all } = await grouped(t, 2)
  const before = await all()
  child.kill('SIGHUP')
  const after = await until('all of them are others', async () => {
    const answer = await send(`${url}${API}/processes`, 'GET')
    assert.equal(answer.status, 200)
    const { data } = answer.json as unknown as { data: readonly Listed[] }
    const found = data.filter(({ alive }) => alive).map(({ pid }) => pid)
    return found.length === 2 && found.every((pid) => !before.includes(pid)) && found
  })
  await until('the others are gone', () => !before.some(lives))
  assert.ok(after.every(lives))
})

test('while a process that was replaced waits for its gateway, nobody is refused', async (t) => {
  const calls: ServerResponse[] = []
  const gateway = createServer((_request, response) => void calls.push(response))
  gateway.listen(0, '127.0.0.1')
  await once(gateway, 'listening')
  t.after(() => gateway.close())
  const { port } = gateway.address() as AddressInfo
  const { child, url, all, ended } = await grouped(t, 2, {
    PAYMENT_GATEWAY_URL: `http://127.0.0.1:${port}`,
    GATEWAY_TIMEOUT_SECONDS: '60',
    WORKER_PROCESSING_TIMEOUT_SECONDS: '200',
    SHUTDOWN_TIMEOUT_SECONDS: '60',
  })
  const before = await all()
  const { id } = (await send(`${url}${API}/users/`, 'POST', '{"balance": 0}')).json
  const body = JSON.stringify({ user_id: id, deposit: 10 })
  // Enough for each process to have one.
  for (const _ of range(20)) await send(`${url}${API}/payments/deposit/`, 'POST', body)
  await until('the gateway is called', () => calls.length === 20)
  child.kill('SIGHUP')
  await until('one has its successor', async () => {
    const { status, json } = await send(`${url}${API}/processes`, 'GET')
    assert.equal(status, 200)
    const { data } = json as unknown as { data: readonly Listed[] }
    return data.some(({ pid, alive }) => alive && !before.includes(pid))
  })
  for (const _ of range(60)) {
    assert.equal((await send(`${url}${API}/users/${String(id)}`, 'GET')).status, 200)
    assert.equal((await send(`${url}${API}/payments/deposit/`, 'POST', body)).status, 202)
    assert.equal((await send(`${url}/readyz`, 'GET')).status, 200)
  }
  assert.ok(before.every(lives), 'the one that was replaced still waits')
  gateway.on('request', (_request, response: ServerResponse) => response.destroy())
  for (const response of calls) response.destroy()
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
})

test('no process of a group outlives the one that holds it together', async (t) => {
  const { child, all, ended } = await grouped(t, 2)
  const pids = await all()
  child.kill('SIGKILL')
  await ended
  await until('they are gone', () => !pids.some(lives))
})

test('a group brings one database and one mock gateway for all of it', async (t) => {
  const DATA_DIR = await dataFolder(t)
  const { url, all, output } = await grouped(t, 2, { DATABASE_URL: '', DATA_DIR })
  await all()
  const gateway = /^ *Gateway +(\S+)$/m.exec(output()[0])?.[1] ?? ''
  assert.notEqual(new URL(gateway).port, new URL(url).port)
  const { id } = (await send(`${url}${API}/users/`, 'POST', '{"balance": 0}')).json
  const body = JSON.stringify({ user_id: id, deposit: 10 })
  const paid = await send(`${url}${API}/payments/deposit/`, 'POST', body)
  const payment = `${url}${API}/payments/${Number(paid.json['payment_id'])}`
  await until('it is final', async () => {
    const { status } = await get<{ status: string }>(payment)
    return status !== 'processing' && status !== 'new'
  })
})

test('what keeps a group from starting is said once, with the exit code of a single process', async (t) => {
  const other = await launch(t, 'mock-gateway')
  const { port } = new URL(other.url)
  const DATABASE_URL = await cloneDatabase(t)
  const busy = await run(t, ['start', '--processes', '2'], {
    DATABASE_URL,
    PORT: port,
    MOCK_GATEWAY_PORT: '0',
  })
  assert.equal(busy.code, 1)
  assert.equal(busy.stderr.match(/is in use: set PORT to a free port/g)?.length, 1, busy.stderr)
  const odd = await run(t, ['start', '--processes', 'many'])
  assert.equal(odd.code, 2)
  assert.match(odd.stderr, /It must be auto, or a number from 1 to 256/)
})
