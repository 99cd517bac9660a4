import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { test, type TestContext } from 'node:test'
import { freePort } from './faults/processes.ts'
import { cloneDatabase, query } from './databases.ts'
import { API, CALM, FAST, get, range, send, until } from './process-kit.ts'
import { listening, run, start } from './programs.ts'
import { turnGateway } from '../tools/client.ts'

/** Clients that keep one connection, and as many that make one for each request. */
const EACH = 6

interface Listed {
  readonly pid: number
  readonly alive: boolean
}

const REPLACED = 'another process is in its place'

/** Two processes behind one port. */
async function pair(t: TestContext) {
  const database = await cloneDatabase(t)
  const ports = { PORT: String(await freePort()), WORKER_PORT: '0', MOCK_GATEWAY_PORT: '0' }
  const settings = { ...ports, ...FAST, DATABASE_URL: database }
  const started = await start(t, ['start', '--processes', '2'], settings)
  const text = () => started.output().join('\n')
  const url = await until('both listen', () => {
    assert.equal(started.child.exitCode, null, text())
    return listening(started.output()[0])
  })
  const gateway = /^ *Gateway +(\S+)$/m.exec(started.output()[0])?.[1] ?? ''
  await turnGateway(gateway, CALM)
  /** How often the processes have said this. */
  const said = (line: string) => text().split(line).length - 1
  const living = async () => {
    const { data } = await get<{ data: readonly Listed[] }>(`${url}${API}/processes`)
    return data.filter(({ alive }) => alive).map(({ pid }) => pid)
  }
  return { ...started, url, database, gateway, said, living }
}

/** What became of a request: a status, or the code of a connection that broke. */
function ask(url: string, body: string, key: string, agent: Agent): Promise<number | string> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': key }
    const asked = request(url, { method: 'POST', headers, agent }, (response) => {
      response.resume()
      response.on('error', () => resolve('ECONNRESET'))
      response.on('end', () => resolve(response.statusCode ?? 0))
    })
    asked.on('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(code))
    asked.end(body)
  })
}

/** Clients that pay one after the other, each again under its key until it is accepted. */
async function load({ url }: { readonly url: string }) {
  const opened = await send(`${url}${API}/users/`, 'POST', '{"balance": 0}')
  const body = JSON.stringify({ user_id: opened.json['id'], deposit: 1 })
  const failed: { readonly client: number; readonly outcome: number | string }[] = []
  const accepted = range(2 * EACH).map(() => 0)
  let stopped = false
  const client = async (number: number): Promise<void> => {
    const agent = new Agent({ keepAlive: number < EACH, maxSockets: 1 })
    for (let count = 0; !stopped;) {
      const outcome = await ask(`${url}${API}/payments/deposit`, body, `${number}-${count}`, agent)
      if (outcome !== 202) failed.push({ client: number, outcome })
      else accepted[number] = count += 1
    }
    agent.destroy()
  }
  const ended = Promise.all(accepted.map((_, number) => client(number)))
  return {
    /** What failed since the last time that this was asked. */
    failed: () => failed.splice(0),
    /** Wait until each client has been accepted so many more. */
    async more(count: number) {
      const before = [...accepted]
      await until('every client goes on', () =>
        accepted.every((now, number) => now >= (before[number] ?? 0) + count),
      )
    },
    async stop() {
      stopped = true
      await ended
      return accepted.reduce((sum, count) => sum + count, 0)
    },
  }
}

test('under load a killed process costs requests on its connections alone, and a restart costs none', async (t) => {
  const service = await pair(t)
  const { child, output, said, living, database, gateway } = service
  const before = await until('both live', async () => {
    const pids = await living()
    return pids.length === 2 && pids
  })
  const clients = await load(service)
  await clients.more(5)
  assert.deepEqual(clients.failed(), [])

  for (const [round, dead] of before.entries()) {
    process.kill(dead, 'SIGKILL')
    await until('another has its place', () => said(REPLACED) === round + 1)
    assert.equal(said('a process ended by itself'), round + 1)
    await clients.more(5)
    const failed = clients.failed()
    // A client has one request at a time: that which was with the process that is gone.
    assert.equal(new Set(failed.map(({ client }) => client)).size, failed.length)
    for (const { outcome } of failed) assert.match(String(outcome), /^(ECONNRESET|EPIPE)$/)
    t.diagnostic(`${failed.length} of ${2 * EACH} clients lost a request`)
  }
  // By the clock of who holds them together; one that lived for less than ten seconds is given one.
  const tookMs = [
    ...output()
      .join('\n')
      .matchAll(/"ms":(\d+),"msg":"another process/g),
  ]
  t.diagnostic(`replaced after ${tookMs.map(([, ms]) => ms).join(' and ')} ms`)

  // Those that were killed are believed to live for a while.
  const old = (await living()).filter((pid) => !before.includes(pid))
  assert.equal(old.length, 2)
  child.kill('SIGHUP')
  await until('every process is another', () => said('every process was started anew') === 1)
  await clients.more(5)
  const now = (await living()).filter((pid) => ![...before, ...old].includes(pid))
  assert.equal(now.length, 2)
  assert.deepEqual(clients.failed(), [], 'nobody notices a restart')

  const count = await clients.stop()
  const states = 'select status, count(*)::int as count from payments group by 1'
  await until('all are charged', async () => {
    const rows = await query<{ status: string }>(database, states)
    return rows.every(({ status }) => status === 'success')
  })
  assert.deepEqual(await query(database, states), [{ status: 'success', count }])
  const { code, stdout, stderr } = await run(t, ['verify', '--gateway', '--json'], {
    DATABASE_URL: database,
    PAYMENT_GATEWAY_URL: gateway,
  })
  assert.equal(code, 0, stdout + stderr)
})
