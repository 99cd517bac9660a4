import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cloneDatabase } from './databases.ts'
import type { Told } from './network/attempts.ts'
import { API, FAST, post, temporaryFolder, until } from './process-kit.ts'
import { launch } from './programs.ts'
import { receiver, status } from './webhooks-kit.ts'

const PROGRAM = fileURLToPath(new URL('network/attempts.ts', import.meta.url))

/** A proxy that nobody configured: neither of its addresses may ever be reached. */
const PROXY = '93.184.216.99'
const NAMED = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy']
const proxied = (url: string) => ({
  ...Object.fromEntries(NAMED.map((name) => [name, url])),
  // What turns the proxies of Node's own clients on, from Node 24 on.
  NODE_USE_ENV_PROXY: '1',
})

/** Why there can be no network of its own here; false: there can. */
function withoutNamespaces(): string | false {
  if (process.platform !== 'linux') return 'namespaces are of Linux'
  const made = spawnSync('unshare', ['-n', '-m', 'ip', 'link', 'set', 'lo', 'up'])
  if (made.status === 0) return false
  return `no namespaces: ${made.error?.message ?? made.stderr.toString().trim()}`
}

/** What the program in a network of its own tells. */
async function attempts(t: TestContext): Promise<Told> {
  const folder = await temporaryFolder(t)
  const args = ['--import', import.meta.resolve('tsx'), PROGRAM, folder]
  const child = spawn('unshare', ['-n', '-m', process.execPath, ...args], {
    env: { PATH: process.env['PATH'], ...proxied(`http://${PROXY}:8080`) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  return JSON.parse(Buffer.concat(await child.stdout.toArray()).toString()) as Told
}

test(
  'not one byte reaches a private address, whatever a resolver answers and when, nor a proxy',
  { skip: withoutNamespaces() },
  async (t) => {
    const told = await attempts(t)
    t.diagnostic(`${told.inside.length} private addresses and names, as a URL and as an answer`)
    assert.ok(told.inside.length >= 190)
    for (const { host, status: answered, reason } of told.inside) {
      assert.deepEqual([host, answered, reason], [host, null, 'forbidden_address'])
    }
    for (const { host, status: answered } of told.outside) {
      assert.deepEqual([host, answered], [host, 200])
    }
    const rebound = told.rebound.map((one) => one.reason ?? String(one.status))
    assert.deepEqual(rebound.slice(0, 4), ['200', 'forbidden_address', '200', 'forbidden_address'])
    assert.deepEqual(new Set(rebound), new Set(['200', 'forbidden_address']))
    assert.deepEqual(
      told.redirected.map((one) => one.status),
      [301, 302, 303, 307, 308],
    )
    const outside = new Set(told.outside.map(({ host }) => host.replace(/^\[|\]$/g, '')))
    assert.deepEqual(
      told.reached.filter((address) => !outside.has(address)),
      [],
    )
    for (const { host, status: answered, reason } of told.silent) {
      assert.deepEqual([host, answered, reason], [host, null, 'dns'])
    }
    assert.equal(told.silent.length, 30)
    const statuses = told.beside.map((one) => (typeof one === 'string' ? one : one.status))
    assert.deepEqual([statuses[0], statuses[2]], [200, 200], 'a silent name holds up no other call')
    assert.deepEqual(statuses[1], told.outside[0]?.host, 'nor what else resolves names')
    // Who asks twice, or asks the environment, is seen here.
    assert.deepEqual(told.careless.toSorted(), ['10.1.2.3', PROXY])
  },
)

test('a service with a proxy in its environment delivers past it', async (t) => {
  const calls: string[] = []
  const proxy = createServer((socket) => {
    socket.on('error', () => undefined).on('data', (bytes) => calls.push(bytes.toString('latin1')))
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.after(() => proxy.close())
  const { port } = proxy.address() as AddressInfo
  const to = await receiver(t, status(204))
  const env = { ...FAST, DATABASE_URL: await cloneDatabase(t) }
  const service = await launch(t, 'start', { ...env, ...proxied(`http://127.0.0.1:${port}`) })
  const endpoint = { url: to.url, types: ['payment.*'] }
  const made = await post(`${service.url}${API}/webhook-endpoints`, endpoint)
  assert.equal(made.status, 201, made.text)
  const opened = await post(`${service.url}${API}/users/`, { balance: 10 })
  const { id } = JSON.parse(opened.text) as { id: number }
  await post(`${service.url}${API}/payments/deposit`, { user_id: id, deposit: 20 })
  await until('the end of the payment arrives', () => to.received.length > 0)
  assert.deepEqual(calls, [])
})
