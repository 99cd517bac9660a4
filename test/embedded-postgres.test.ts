import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { findPackage, prepareBinaries, serverUser } from '../src/adapters/embedded-binaries.ts'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../src/adapters/embedded-postgres.ts'
import type { EmbeddedOptions } from '../src/adapters/embedded-session.ts'
import { killTree } from '../src/adapters/embedded-server.ts'
import { until } from './process-kit.ts'

/** Deleted by the test script, even if this process is killed. */
const TEMPORARY = process.env['TEST_FOLDER'] ?? tmpdir()

/**
 * A data folder with a stopped server, which most tests use in turn: creating one takes a second.
 */
let shared: string

before(async () => {
  shared = join(await openFolder(), 'data')
  const server = await startEmbeddedPostgres({ dataDir: shared })
  await run(server, 'create table notes (text text)')
  await server.stop()
})

after(() => fs.rm(dirname(shared), { recursive: true, force: true, maxRetries: 5 }))

/** What a test leaves to do, done last first: a server stops before its folder goes. */
const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  while (cleanups.length > 0) await cleanups.pop()?.()
})

test('the first start creates a database that only its password opens', async () => {
  const dataDir = join(await folder(), 'new', 'data')
  const lines: string[] = []
  const server = await start({ dataDir, log: (line) => lines.push(line) })

  assert.equal(server.attached, false)
  assert.match(lines.join('\n'), /Creating a PostgreSQL 18\.\d+ database in .*pg18/)
  assert.deepEqual(await run(server, 'select current_user as role, current_database() as db'), [
    { role: 'payments', db: 'payments' },
  ])
  const rows = await run(server, `select rolsuper from pg_roles where rolname = 'payments'`)
  assert.deepEqual(rows, [{ rolsuper: false }])
  await assert.rejects(run({ url: server.url.replace(/:[^:@]+@/, ':wrong@') }, 'select 1'), {
    code: '28P01',
  })
  if (process.platform === 'win32') return
  for (const name of ['pg18.password', 'pg18.service.password']) {
    assert.equal((await fs.stat(join(dataDir, name))).mode & 0o777, 0o600)
  }
})

test("the service's password does not open the superuser's account, nor the other way", async () => {
  const server = await start({ dataDir: shared })
  const root = await fs.readFile(join(shared, 'pg18.password'), 'utf8')
  const service = new URL(server.url).password
  const as = (user: string, password: string) => ({
    url: `postgresql://${user}:${password}@127.0.0.1:${server.port}/payments`,
  })
  await run(as('postgres', root), 'select 1')
  await run(as('payments', service), 'select 1')
  await assert.rejects(run(as('postgres', service), 'select 1'), { code: '28P01' })
  await assert.rejects(run(as('payments', root), 'select 1'), { code: '28P01' })

  // As an earlier release has left it.
  await run(as('postgres', root), `alter role payments password '${root}'`)
  await server.stop()
  const again = await start({ dataDir: shared })
  await run(again, 'select 1')
  await assert.rejects(run(as('payments', root), 'select 1'), { code: '28P01' })
})

test('a server that dies while it is used is started again on its port', async () => {
  const lost: Error[] = []
  const first = await start({ dataDir: shared, onLost: (error) => lost.push(error) })
  const lock = join(shared, 'pg18', 'postmaster.pid')
  // Again as soon as it answers, when whoever started it may not even know that it does.
  for (let round = 0; round < 3; round += 1) {
    killTree(Number((await fs.readFile(lock, 'utf8')).split('\n', 1)[0]))
    await answersAgain(first, lost)
  }
  const [pid] = (await fs.readFile(lock, 'utf8')).split('\n', 1)
  await until('it is known', () => first.pid === Number(pid))
  // It is still counted among the users: the last one to leave shuts it down.
  const second = await start({ dataDir: shared })
  assert.equal(second.attached, true)
  await first.stop()
  await run(second, 'select 1')
  await second.stop()
  await assert.rejects(run(second, 'select 1'), { code: 'ECONNREFUSED' })
})

/** Wait until a server answers; fails with what is said when it is given up. */
async function answersAgain(server: EmbeddedPostgres, lost: readonly Error[]): Promise<void> {
  await until('it answers again', () => {
    if (lost[0] !== undefined) throw lost[0]
    return run(server, 'select 1').then(
      () => true,
      () => false,
    )
  })
}

test('a server that cannot be started again is given up, with its log', async () => {
  const lost: Error[] = []
  const server = await start({ dataDir: shared, onLost: (error) => lost.push(error) })
  const control = join(shared, 'pg18', 'global', 'pg_control')
  await fs.rename(control, `${control}.gone`)
  killTree(server.pid)
  await until('it is given up', () => lost.length > 0)
  await fs.rename(`${control}.gone`, control)
  assert.match(lost[0]?.message ?? '', /^PostgreSQL did not start: .*pg18\.log ends:/)
  await server.stop()
})

test('an answered commit is on disk and only this machine is served', async () => {
  const server = await start({ dataDir: shared })
  const rows = await run(
    server,
    `select string_agg(current_setting(name), ',' order by name) as settings
     from unnest(array['fsync', 'full_page_writes', 'listen_addresses',
       'synchronous_commit']) name`,
  )
  assert.deepEqual(rows, [{ settings: 'on,on,127.0.0.1,on' }])
})

test('data and port are the same after stop and start', async () => {
  const first = await start({ dataDir: shared })
  await run(first, `insert into notes values ('stopped')`)
  await first.stop()
  await assert.rejects(run(first, 'select 1'), { code: 'ECONNREFUSED' })

  const second = await start({ dataDir: shared })
  assert.equal(second.attached, false)
  assert.equal(second.url, first.url)
  assert.deepEqual(await run(second, `select text from notes where text = 'stopped'`), [
    { text: 'stopped' },
  ])
})

test('data survives SIGKILL of the server', async () => {
  const first = await start({ dataDir: shared })
  await run(first, `insert into notes values ('killed')`)
  first.kill()

  const second = await start({ dataDir: shared })
  assert.equal(second.attached, false)
  assert.notEqual(second.pid, first.pid)
  assert.deepEqual(await run(second, `select text from notes where text = 'killed'`), [
    { text: 'killed' },
  ])
})

test('what is left of a killed server is waited for, however long it takes to end', async (t) => {
  if (process.platform === 'win32') return t.skip('there are no signals on Windows')
  const first = await start({ dataDir: shared })
  const client = new Client({ connectionString: first.url })
  client.on('error', () => undefined)
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const pid = rows[0]?.pid ?? 0
  process.kill(pid, 'SIGSTOP')
  process.kill(first.pid ?? 0, 'SIGKILL')
  const log = join(shared, 'pg18.log')
  const begunAt = (await fs.readFile(log, 'utf8')).length
  const starting = start({ dataDir: shared })
  const refusals = async () => {
    const text = (await fs.readFile(log, 'utf8')).slice(begunAt)
    return text.split('pre-existing shared memory block').length - 1
  }
  // More often than a server that cannot start for another reason is tried.
  await until('it was refused again and again', async () => (await refusals()) > 12)
  process.kill(pid, 'SIGCONT')
  const second = await starting
  await run(second, 'select 1')
  await client.end().catch(() => undefined)
})

test('a second start on the same folder attaches, and the last to stop shuts down', async () => {
  const first = await start({ dataDir: shared })
  const second = await start({ dataDir: shared })
  assert.equal(second.attached, true)
  assert.equal(second.url, first.url)
  assert.equal(second.pid, first.pid)

  await first.stop()
  await run(second, 'select 1')
  await second.stop()
  await assert.rejects(run(second, 'select 1'), { code: 'ECONNREFUSED' })
})

test('starts at once on an empty folder make one cluster and one server', async () => {
  const dataDir = join(await folder(), 'data')
  const servers = await Promise.all([1, 2, 3].map(() => start({ dataDir })))
  assert.equal(new Set(servers.map(({ url }) => url)).size, 1)
  assert.equal(new Set(servers.map(({ pid }) => pid)).size, 1)
  assert.equal(servers.filter(({ attached }) => !attached).length, 1)
})

test('a start after SIGKILL of our process takes the server over', async () => {
  const module = new URL('../src/adapters/embedded-postgres.ts', import.meta.url).href
  const program = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(module)})
    const { pid } = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(shared)} })
    console.log(pid)
    setInterval(() => undefined, 60_000)`
  const flags = ['--import', 'tsx', '--input-type=module', '--eval', program]
  const other = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(other.stdout, 'data')) as [Buffer]
  const pid = Number(line.toString())
  other.kill('SIGKILL')
  await once(other, 'exit')

  const server = await start({ dataDir: shared })
  assert.equal(server.attached, true)
  assert.equal(server.pid, pid)
  // The one that died counts as a user until the server has read the end of its connection.
  await until('we are its only user', async () => {
    const users = await run(
      server,
      `select from pg_stat_activity where application_name = 'payments-in-use'`,
    )
    return users.length === 1
  })
  await server.stop()
  await assert.rejects(run(server, 'select 1'), { code: 'ECONNREFUSED' })
})

/** What PostgreSQL answers while it starts, recovers or stops. */
function startingUp(): Buffer {
  const text = ['SFATAL', 'VFATAL', 'C57P03', 'Mthe database system is starting up', '', ''].join(
    '\0',
  )
  const head = Buffer.from('E....')
  head.writeInt32BE(text.length + 4, 1)
  return Buffer.concat([head, Buffer.from(text)])
}

test('a server that says that it is starting is waited for, however long it takes', async (t) => {
  const first = await start({ dataDir: shared })
  // Half a minute, of which each answer takes most of a second.
  let busyLeft = 40
  let elapsedMs = 0
  const { now } = performance
  t.mock.method(performance, 'now', () => now.call(performance) + elapsedMs)
  const proxy = createServer((link) => {
    link.on('error', () => undefined)
    if (busyLeft === 0) {
      const onward = connect(first.port, '127.0.0.1').on('error', () => link.destroy())
      return void link.pipe(onward).pipe(link)
    }
    busyLeft -= 1
    elapsedMs += 700
    link.once('data', () => link.end(startingUp()))
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  cleanups.push(async () => proxy.close())
  // An address of a TCP server is never a string.
  const { port } = proxy.address() as AddressInfo
  const lock = join(shared, 'pg18', 'postmaster.pid')
  const lines = (await fs.readFile(lock, 'utf8')).split('\n')
  await fs.writeFile(lock, lines.with(3, String(port)).join('\n'))

  const told: string[] = []
  const second = await start({ dataDir: shared, log: (line) => told.push(line) })
  assert.equal(busyLeft, 0)
  assert.equal(second.attached, true)
  assert.equal(second.port, port)
  assert.deepEqual(told, [
    'Waiting for the PostgreSQL server, which is starting, recovering or stopping',
  ])
  await fs.writeFile(lock, lines.join('\n'))
  await second.stop()
  // It looks after its server, which must not come back while the next test has the folder.
  await first.stop()
})

test('a lock file that names a dead or a foreign process does not prevent a start', async () => {
  const gone = spawn(process.execPath, ['--version'], { stdio: 'ignore' })
  await once(gone, 'exit')
  for (const pid of [gone.pid, process.pid]) {
    const cluster = join(shared, 'pg18')
    const lock = join(cluster, 'postmaster.pid')
    await fs.writeFile(lock, `${pid}\n${cluster}\n`, { mode: 0o600 })
    const owner = await fs.stat(cluster)
    await fs.chown(lock, owner.uid, owner.gid)
    const server = await start({ dataDir: shared })
    assert.equal(server.attached, false)
    await server.stop()
  }
})

test('a folder may have spaces and letters of any alphabet', async () => {
  const dataDir = join(await folder(), `Zahlungen für "Jörg" & 支付's`)
  const server = await start({ dataDir })
  await run(server, 'select 1')
  await server.stop()
  await run(await start({ dataDir }), 'select 1')
})

test('a busy port leads to the next free one', async () => {
  const blocker = createServer().listen(0, '127.0.0.1')
  await once(blocker, 'listening')
  cleanups.push(async () => blocker.close())
  // An address of a TCP server is never a string.
  const { port } = blocker.address() as AddressInfo
  const server = await start({ dataDir: shared, port })
  assert.ok(server.port > port)
  await run(server, 'select 1')
})

test('missing library links and executable bits are restored', async (t) => {
  if (process.platform === 'win32') return t.skip('there are none on Windows')
  const found = findPackage()
  const root = join(await folder(), 'package')
  await fs.cp(found.root, root, { recursive: true, verbatimSymlinks: true })
  for (const entry of await fs.readdir(join(root, 'native', 'lib'), { withFileTypes: true })) {
    if (entry.isSymbolicLink()) await fs.rm(join(entry.parentPath, entry.name))
  }
  await fs.chmod(join(root, 'native', 'bin', 'postgres'), 0o644)

  const user = await serverUser(root)
  const log = (line: string): void => assert.fail(line)
  const { postgres } = await prepareBinaries({ ...found, root }, user, dirname(root), log)
  const { stdout } = await promisify(execFile)(postgres, ['--version'])
  assert.match(stdout, /PostgreSQL/)
})

test('root may keep the data in a folder that only root can enter', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('we are not root')
  // As mkdtemp makes it: mode 0700.
  const dataDir = join(await fs.mkdtemp(join(TEMPORARY, 'payments-private-')), 'data')
  cleanups.push(() => fs.rm(dirname(dataDir), { recursive: true, force: true }))
  const lines: string[] = []
  const first = await start({ dataDir, log: (line) => lines.push(line) })
  const place = (await fs.readFile(join(dataDir, 'pg18.location'), 'utf8')).trim()
  cleanups.push(() => fs.rm(place, { recursive: true, force: true }))
  assert.ok(lines.some((line) => line.includes(`the database is in ${place}`)))
  await run(first, 'create table notes (text text)')
  await first.stop()

  const second = await start({ dataDir })
  assert.deepEqual(await run(second, 'select text from notes'), [])
  await second.stop()
  await fs.rename(place, `${place}.away`)
  cleanups.push(() => fs.rm(`${place}.away`, { recursive: true, force: true }))
  await assert.rejects(start({ dataDir }), /is missing or unreadable: .*payments-/)
})

test('a server that cannot start says where its log is and how it ends', async () => {
  const settings = { shared_buffers: 'much' }
  const starting = start({ dataDir: shared, settings })
  await assert.rejects(starting, /did not start: .*pg18\.log ends:[^]*shared_buffers.*much/)
})

test('the data of another PostgreSQL major is never passed over', async () => {
  const dataDir = await folder()
  await fs.mkdir(join(dataDir, 'pg17'))
  await assert.rejects(start({ dataDir }), /holds the data of PostgreSQL 17/)
})

/** A temporary folder that the server's account can pass through. */
async function openFolder(): Promise<string> {
  const path = await fs.mkdtemp(join(TEMPORARY, 'payments-embedded-'))
  await fs.chmod(path, 0o711)
  return path
}

async function folder(): Promise<string> {
  const path = await openFolder()
  cleanups.push(() => fs.rm(path, { recursive: true, force: true, maxRetries: 5 }))
  return path
}

async function start(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres(options)
  cleanups.push(() => server.stop())
  return server
}

async function run(server: { readonly url: string }, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: server.url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}
