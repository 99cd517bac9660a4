import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { loadConfig } from '../src/config/config.ts'
import { closing } from '../src/process/closing.ts'
import { openDatabase } from '../src/process/database.ts'
import { cloneDatabase, query } from './databases.ts'

/** A server that meets each connection with the next of these; the last one stays. */
async function server(t: TestContext, ...meets: ((socket: Socket) => void)[]): Promise<number> {
  const listening = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    const meet = meets.length > 1 ? meets.shift() : meets[0]
    meet?.(socket)
  })
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  t.after(() => listening.close())
  return (listening.address() as AddressInfo).port
}

/** Refuse a connection with such a code, as PostgreSQL does. */
const refusing =
  (code: string, message = 'for a reason') =>
  (socket: Socket): void => {
    const fields = Buffer.from(`${['SFATAL', `C${code}`, `M${message}`, ''].join('\0')}\0`)
    const head = Buffer.alloc(5)
    head.write('E')
    head.writeInt32BE(fields.length + 4, 1)
    socket.once('data', () => socket.end(Buffer.concat([head, fields])))
  }

/** Hand a connection on to the real server. */
const passing =
  (url: string) =>
  (socket: Socket): void => {
    const { port, hostname } = new URL(url)
    const onward = connect(Number(port), hostname)
    onward.on('error', () => socket.destroy())
    socket.on('close', () => onward.destroy())
    socket.pipe(onward).pipe(socket)
  }

async function open(url: string, waitSeconds: number, schema: 'any' | 'demand' = 'any') {
  const config = loadConfig({
    DATABASE_URL: url,
    DATABASE_WAIT_SECONDS: String(waitSeconds),
    DATABASE_CONNECT_TIMEOUT_SECONDS: '60',
  })
  const said: string[] = []
  const say = (line: string) => void said.push(line)
  const options = { stops: closing(), say, schema, embedded: 'found' } as const
  const error = await openDatabase(config, options).then(
    () => null,
    (thrown: Error) => thrown.message,
  )
  return { said, error }
}

const at = (port: number) => `postgresql://u:secret@127.0.0.1:${port}/payments`

test('a server that starts, stops, recovers or is full is waited for', async (t) => {
  for (const code of ['57P01', '57P02', '57P03', '57P05', '53300', '08006', '08001', '08000']) {
    const port = await server(t, refusing(code))
    const { said, error } = await open(at(port), 0)
    assert.equal(
      error,
      `PostgreSQL at 127.0.0.1:${port}/payments cannot be reached (for a reason): start it, or ` +
        'correct DATABASE_URL. It was waited for 0 s (DATABASE_WAIT_SECONDS).',
      code,
    )
    assert.deepEqual(said, [])
  }
})

test('what no waiting mends is said at once, with its remedy', async (t) => {
  const remedies: readonly (readonly [code: string, message: string, remedy: string])[] = [
    ['28P01', 'wrong', 'correct user and password in DATABASE_URL.'],
    ['28000', 'wrong', 'correct user and password in DATABASE_URL.'],
    ['3D000', 'none', 'create the database, or correct DATABASE_URL.'],
    [
      '08P01',
      'unsupported startup parameter: x',
      'set DATABASE_POOLER=transaction, as a pooler stands in between.',
    ],
    ['42501', 'denied', 'correct DATABASE_URL.'],
    ['57P06', 'odd', 'correct DATABASE_URL.'],
  ]
  for (const [code, message, remedy] of remedies) {
    const port = await server(t, refusing(code, message))
    const place = `PostgreSQL at 127.0.0.1:${port}/payments`
    const { said, error } = await open(at(port), 3_600)
    assert.equal(error, `${place} refuses the connection (${message}): ${remedy}`, code)
    assert.deepEqual(said, [])
  }
})

test('a database that comes while it is waited for is opened, and the wait was told once', async (t) => {
  const url = await cloneDatabase(t)
  const port = await server(t, refusing('57P03'), refusing('57P03'), passing(url))
  const { said, error } = await open(Object.assign(new URL(url), { port }).href, 3_600)
  assert.equal(error, null)
  assert.equal(said.length, 1)
  assert.match(said[0] ?? '', /^Waiting up to 3600 s for the database: .*cannot be reached/)
})

/** Hand a connection on until its client has sent so often, then reset it. */
const cutting =
  (url: string, after: number, cut: () => void) =>
  (socket: Socket): void => {
    let sent = 0
    socket.on('data', () => {
      sent += 1
      if (sent <= after) return
      cut()
      socket.resetAndDestroy()
    })
    passing(url)(socket)
  }

test('a database that goes away at any step of the look at it is waited for', async (t) => {
  const url = await cloneDatabase(t)
  let steps = 0
  for (;;) {
    let cuts = 0
    const port = await server(
      t,
      cutting(url, steps, () => void (cuts += 1)),
      passing(url),
    )
    const through = new URL(url)
    through.port = String(port)
    const { error } = await open(through.href, 60, 'demand')
    assert.equal(error, null, `cut after ${steps}`)
    if (cuts === 0) break
    steps += 1
  }
  t.diagnostic(`${steps} steps`)
  assert.ok(steps >= 4, `${steps} steps`)
})

test('a server that takes no writes is waited for, and said to be no primary', async (t) => {
  const url = await cloneDatabase(t)
  const name = new URL(url).pathname.slice(1)
  await query(url, `alter database ${name} set default_transaction_read_only = on`)
  const { error } = await open(url, 0)
  assert.match(error ?? '', /takes no writes.*point DATABASE_URL at the primary.*waited for 0 s/)
  assert.doesNotMatch(error ?? '', /payments:.*@/)
})
