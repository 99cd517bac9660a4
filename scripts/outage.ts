/**
 * Tell a receiver of many events that is down, and comes back: `npm run test:outage -- [events]`.
 * While it is down whatever stands in front of it answers 503.
 *
 * Exit code 0: every event arrived, with the bytes that it had, and it was asked now and then alone
 * while it was down; 1: not.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { startServer, startStack, type Stack } from '../test/faults/stack.ts'
import { send } from '../test/faults/load.ts'
import { ROOT } from '../test/sources.ts'
import { temporaryFolder } from './temporary.mjs'

/** Away from the ports of the service and of the tests. */
const PORT = 55_490
const LOOK_MS = 250
/** How long it is down once all events wait for it. */
const DOWN_MS = 20_000
/** Where nothing arrives for so long, nothing will: the third attempt is five minutes later. */
const GIVE_UP_MS = 450_000
/** Two workers have twenty places each, taken until a pause of five seconds is written. */
const CALLS_A_PAUSE = 40
const PAUSE_MS = 5_000

/** A receiver and what it got. */
async function openReceiver() {
  const own = { down: true, refused: 0, calls: 0, changed: 0, taken: new Map<string, string>() }
  const server = createServer((request, response) => {
    const digest = createHash('sha256')
    request.on('data', (bytes: Buffer) => digest.update(bytes))
    request.on('end', () => {
      const id = String(request.headers['webhook-id'])
      own.calls += 1
      if (own.down) own.refused += 1
      else {
        const hash = digest.digest('hex')
        if ((own.taken.get(id) ?? hash) !== hash) own.changed += 1
        own.taken.set(id, hash)
      }
      response.writeHead(own.down ? 503 : 204).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  return { own, url: `http://127.0.0.1:${port}`, close }
}

async function count(stack: Stack, text: string): Promise<number> {
  const [row] = await stack.query<{ count: number }>(text)
  return row?.count ?? 0
}

/** Wait until so many have arrived; false: it stands still. */
async function arrived(taken: ReadonlyMap<string, string>, events: number): Promise<boolean> {
  let [last, sinceMs] = [taken.size, performance.now()]
  while (taken.size < events) {
    await wait(LOOK_MS)
    if (taken.size > last) [last, sinceMs] = [taken.size, performance.now()]
    else if (performance.now() - sinceMs > GIVE_UP_MS) return false
  }
  return true
}

async function outage(stack: Stack, events: number): Promise<boolean> {
  const { own, url, close } = await openReceiver()
  try {
    const body = { url, types: ['payment.*'] }
    const { status } = await send(`${stack.apis[0]?.url}/api/v1/webhook-endpoints`, body, null)
    if (status !== 201) throw new Error(`an endpoint could not be made: ${status}`)
    const downMs = performance.now()
    await stack.query(
      `insert into events (shard, id, payment_id, type, sequence, body, created_at)
       select 0, nextval('event_ids'), n, 'payment.succeeded', 1,
         '{"type":"payment.succeeded","data":{"n":' || n || '}}', now()
       from generate_series(1, ${events}) n`,
    )
    const due = `select count(*)::int as count from deliveries where state = 'pending'`
    while ((await count(stack, due)) < events) await wait(LOOK_MS)
    await wait(DOWN_MS)
    const backMs = performance.now()
    own.down = false
    const { refused } = own
    const allowed = (Math.ceil((backMs - downMs) / PAUSE_MS) + 1) * CALLS_A_PAUSE
    const all = await arrived(own.taken, events)
    const seconds = (ms: number) => Math.round(ms / 1_000)
    const took = performance.now() - backMs
    const more = own.calls - refused - own.taken.size
    console.log(`down for ${seconds(backMs - downMs)} s, and called ${refused} times meanwhile`)
    console.log(
      `${own.taken.size} of ${events} events arrived in ${seconds(took)} s, ` +
        `${more} of them twice, ${own.changed} with other bytes`,
    )
    return all && own.changed === 0 && refused <= allowed
  } finally {
    close()
  }
}

async function main(events: number): Promise<void> {
  const folder = temporaryFolder('payments-outage-')
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const server = await startServer(folder, PORT)
  const at = { program: join(ROOT, 'dist/main.js'), folder, name: 'payments_outage' }
  const around = { random: () => 0.5, onDeath: () => undefined }
  const stack = await startStack(server, at, { apis: 1, workers: 2 }, around)
  try {
    await stack.begin()
    await stack.ready()
    process.exitCode = (await outage(stack, events)) ? 0 : 1
  } finally {
    await stack.stop()
    await server.stop()
  }
}

await main(Number(process.argv[2] ?? '100000'))
process.exit()
