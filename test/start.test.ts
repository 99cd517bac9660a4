import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { cloneDatabase, emptyDatabase, query } from './databases.ts'
import { API, CALM, FAST, get, MOCK, post, range, send, until } from './process-kit.ts'
import { dataFolder, launch, listening, powerCut, run, start } from './programs.ts'
import { turnGateway } from '../tools/client.ts'

type Variables = Readonly<Record<string, string>>

const ROLES = ['start', 'api', 'worker', 'mock-gateway'] as const
type Role = (typeof ROLES)[number]

const WITH_DATABASE: readonly Role[] = ['start', 'api', 'worker']

const PORTS: Readonly<Record<Role, string>> = {
  start: 'PORT',
  api: 'PORT',
  worker: 'WORKER_PORT',
  'mock-gateway': 'MOCK_GATEWAY_PORT',
}

const FREE_PORTS = { PORT: '0', WORKER_PORT: '0', MOCK_GATEWAY_PORT: '0' }
const GATEWAY = { PAYMENT_GATEWAY_URL: 'http://127.0.0.1:9/mock-gateway' }

/** A server that listens on a port of this machine until the test ends. */
async function listenOn(t: TestContext, server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  // An address of a TCP server is never a string.
  return (server.address() as AddressInfo).port
}

/** What a pooler answers that lets no startup parameter pass: an ErrorResponse of the protocol. */
async function pooler(t: TestContext): Promise<string> {
  const fields = ['SFATAL', 'C08P01', 'Munsupported startup parameter: statement_timeout', '']
  const body = Buffer.from(`${fields.join('\0')}\0`)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(body.length + 4, 1)
  const server = createServer((socket) => {
    socket.once('data', () => socket.end(Buffer.concat([head, body])))
  })
  return `postgresql://u:p@127.0.0.1:${await listenOn(t, server)}/payments`
}

/**
 * A process that is refused ends by itself, with code 1 and a sentence, although nobody ends it: so
 * nothing that it opened is left open.
 */
async function refused(t: TestContext, role: Role, env: Variables, says: RegExp): Promise<void> {
  const { code, stderr } = await run(t, [role], { ...FREE_PORTS, ...GATEWAY, ...env })
  assert.equal(code, 1, `${role}: ${stderr}`)
  assert.match(stderr, says, role)
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
}

const REFUSED = {
  'says that its port is in use and which setting names it, in every role': async (
    t: TestContext,
  ) => {
    const port = String(await listenOn(t, createServer()))
    const url = await cloneDatabase(t)
    for (const role of ROLES) {
      const setting = PORTS[role]
      const env = { DATABASE_URL: url, [setting]: port }
      const says = new RegExp(`^Port ${port} of 127.0.0.1 is in use: set ${setting} to a free port`)
      await refused(t, role, env, says)
    }
  },

  'says that HOST is no address of this machine, in every role': async (t: TestContext) => {
    const env = { DATABASE_URL: await cloneDatabase(t), HOST: '203.0.113.7' }
    const says = /^HOST=203\.0\.113\.7 is no address of this machine: set HOST to one/
    for (const role of ROLES) await refused(t, role, env, says)
  },

  'says what a schema that is missing, older or newer takes, in every role': async (
    t: TestContext,
  ) => {
    const empty = await emptyDatabase(t)
    const [older, newer] = [await cloneDatabase(t), await cloneDatabase(t)]
    await query(
      older,
      'delete from schema_migrations where version = (select max(version) from schema_migrations)',
    )
    await query(
      newer,
      `insert into schema_migrations (version, name, checksum) values (9999, '9999_future', 'x')`,
    )
    const cases: readonly (readonly [url: string, says: RegExp])[] = [
      [empty, /^The database has no tables of this service yet\. Run `payments migrate` first\./],
      [older, /^The database's schema is older than this build: .*Run `payments migrate` first\./],
      [newer, /^The database has migration 9999_future, which this build does not know/],
    ]
    for (const role of WITH_DATABASE) {
      for (const [url, says] of cases) {
        await refused(t, role, { DATABASE_URL: url, AUTO_CREATE_TABLES: 'false' }, says)
      }
    }
    const tables = `select from information_schema.tables where table_schema = 'public'`
    assert.equal((await query(empty, tables)).length, 0)
  },

  'says which number of shards the database has': async (t: TestContext) => {
    const url = await cloneDatabase(t)
    await query(url, `insert into settings (name, value) values ('shards', '4')`)
    const says = /made with SHARDS=4 and cannot be used with SHARDS=1: set SHARDS=4\.$/m
    for (const role of WITH_DATABASE) await refused(t, role, { DATABASE_URL: url }, says)
  },

  'says in which currency the books of the database are kept': async (t: TestContext) => {
    const url = await cloneDatabase(t)
    await query(url, `insert into settings (name, value) values ('currency', 'EUR')`)
    const says =
      /kept in CURRENCY=EUR and cannot be continued in CURRENCY=USD: set CURRENCY=EUR\.$/m
    for (const role of WITH_DATABASE) await refused(t, role, { DATABASE_URL: url }, says)
  },

  "passes on PostgreSQL's own reason for a refused connection": async (t: TestContext) => {
    const url = await cloneDatabase(t)
    const change = (part: Partial<URL>) => Object.assign(new URL(url), part).href
    const wrong = { ...FREE_PORTS, DATABASE_WAIT_SECONDS: '60' }
    const cases: readonly (readonly [url: string, says: RegExp])[] = [
      [change({ password: 'wrong' }), /password authentication failed.*user and password in DATAB/],
      [change({ pathname: '/nowhere' }), /database "nowhere" does not exist.*create the database/],
      [await pooler(t), /unsupported startup parameter: statement_timeout\): set DATABASE_POOLER/],
    ]
    for (const [index, [DATABASE_URL, says]] of cases.entries()) {
      await refused(t, WITH_DATABASE[index] ?? 'api', { ...wrong, DATABASE_URL }, says)
    }
  },

  'says that the database cannot be reached, when it has waited long enough': async (
    t: TestContext,
  ) => {
    const away = { DATABASE_URL: 'postgresql://u:secret@127.0.0.1:9/payments' }
    for (const role of WITH_DATABASE) {
      const says =
        /^PostgreSQL at 127\.0\.0\.1:9\/payments cannot be reached \(connect ECONNREFUSED 127\.0\.0\.1:9\): start it, or correct DATABASE_URL\. It was waited for 0 s \(DATABASE_WAIT_SECONDS\)\.$/m
      await refused(t, role, { ...away, DATABASE_WAIT_SECONDS: '0' }, says)
    }
  },

  'stops the embedded database that it has started': async (t: TestContext) => {
    const folder = await dataFolder(t)
    const port = String(await listenOn(t, createServer()))
    await refused(t, 'start', { DATA_DIR: folder, PORT: port, PAYMENT_GATEWAY_URL: '' }, /in use/)
    assert.ok((await fs.readdir(folder)).includes('pg18'))
    assert.ok(!(await fs.readdir(join(folder, 'pg18'))).includes('postmaster.pid'))
  },
}

describe('a process that cannot start', { concurrency: 2, timeout: 300_000 }, () => {
  for (const [name, work] of Object.entries(REFUSED)) test(name, work)
})

const STARTS = {
  'while the database is away says so, and serves when it is there': async (t: TestContext) => {
    const real = new URL(await cloneDatabase(t))
    // Somewhere nobody listens yet.
    const closed = createServer()
    const port = await listenOn(t, closed)
    await new Promise((done) => closed.close(done))
    const url = Object.assign(new URL(real.href), { host: `127.0.0.1:${port}` }).href
    const { output } = await start(t, ['api'], { ...FREE_PORTS, DATABASE_URL: url })
    await until('it says what it waits for', () =>
      /^Waiting up to 30 s for the database: .*ECONNREFUSED/m.test(output()[0]),
    )
    const passing = createServer((inward) => {
      const outward = connect(Number(real.port), real.hostname)
      for (const socket of [inward, outward]) socket.on('error', () => socket.destroy())
      inward.pipe(outward).pipe(inward)
    })
    await listenOn(t, passing, port)
    const base = await until('it listens', () => listening(output()[0]))
    assert.equal((await send(`${base}/readyz`, 'GET')).status, 200)
  },

  'does not open a mock gateway on a journal that another process owns': async (t: TestContext) => {
    const folder = await dataFolder(t)
    const env = { DATA_DIR: folder, ...FAST }
    const first = await launch(t, 'start', env)
    await turnGateway(first.url + MOCK, CALM)
    const second = await run(t, ['start'], { ...FREE_PORTS, ...env })
    assert.equal(second.code, 1)
    assert.match(
      second.stderr,
      /^Process \d+ already runs on DATA_DIR \S+ and has its mock gateway: stop it, or set another/,
    )

    // The remedy: both charge through one gateway, whose journal knows everything.
    const other = await launch(t, 'start', { ...env, PAYMENT_GATEWAY_URL: first.url + MOCK })
    const user = await post(`${first.url + API}/users`, { balance: 0 })
    const body = { user_id: user.json['id'], deposit: 1 }
    await Promise.all(
      range(100).map((index) =>
        post(`${(index % 2 ? first : other).url + API}/payments/deposit`, body),
      ),
    )
    await until('all are charged', async () => {
      const list = await get<{ data: unknown[] }>(
        `${first.url + API}/payments?status=success&limit=500`,
      )
      return list.data.length === 100
    })
    const audit = await get<Record<string, unknown>>(`${first.url + MOCK}/audit`)
    assert.deepEqual([audit['executed'], audit['charged_twice_count']], [100, 0])
    assert.equal((await fs.stat(join(folder, 'mock-gateway.jsonl'))).mode & 0o777, 0o600)

    // A dead owner is no owner.
    await other.end('SIGTERM')
    await first.end('SIGKILL')
    const third = await launch(t, 'start', env)
    const again = await get<Record<string, unknown>>(`${third.url + MOCK}/audit`)
    assert.equal(again['executed'], 100)
    assert.equal((await third.end('SIGTERM')).code, 0)
  },

  'starts its embedded database again when that dies': async (t: TestContext) => {
    const folder = await dataFolder(t)
    const service = await launch(t, 'start', { DATA_DIR: folder, ...FAST })
    const user = await post(`${service.url + API}/users`, { balance: 0 })
    for (const round of range(2)) {
      await powerCut(folder)
      const body = { user_id: user.json['id'], deposit: round }
      const paid = await until('a deposit is accepted', async () => {
        const reply = await post(`${service.url + API}/payments/deposit`, body, `${round}`)
        if (reply.status === 202) return reply
        assert.ok(
          ['database_unavailable', 'outcome_unknown'].includes(String(reply.json['code'])),
          reply.text,
        )
        return null
      })
      assert.equal(paid.json['deposit'], round)
      await until(
        'it is ready',
        async () => (await send(`${service.url}/readyz`, 'GET')).status === 200,
      )
      assert.equal((await send(`${service.url}/livez`, 'GET')).status, 200)
    }
    assert.equal((await service.end('SIGTERM')).code, 0)
  },

  'ends with a sentence when its embedded database cannot be kept alive': async (
    t: TestContext,
  ) => {
    const folder = await dataFolder(t)
    const { ended, output } = await start(t, ['start'], { ...FREE_PORTS, DATA_DIR: folder })
    await until('it listens', () => listening(output()[0]))
    const control = join(folder, 'pg18', 'global', 'pg_control')
    await fs.rename(control, `${control}.gone`)
    await powerCut(folder)
    const { code, stderr } = await ended
    assert.equal(code, 1)
    assert.match(stderr, /^PostgreSQL did not start: .*Its log \S+pg18\.log ends:/m)
  },
}

describe('a process that starts', { concurrency: 2, timeout: 300_000 }, () => {
  for (const [name, work] of Object.entries(STARTS)) test(name, work)
})
