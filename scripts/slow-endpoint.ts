/**
 * What one bad endpoint costs nine others: `npm run bench:slow-endpoint -- [events] [rounds]`. In
 * turn, the same events go to nine endpoints with a tenth that answers at once, that never answers,
 * and that refuses. Prints how long the nine had to wait for everything in each, by the median, and
 * the ratios.
 *
 * Exit code 0: the nine lost less than 5 %; 1: more.
 */
import * as fs from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { startServer, startStack, type Stack } from '../test/faults/stack.ts'
import { send } from '../test/faults/load.ts'
import { ROOT } from '../test/sources.ts'

/** Away from the ports of the service and of the tests. */
const PORT = 55_480
const OTHERS = 9
const LOST_MAX = 1.05
const LOOK_MS = 5

/** What the tenth endpoint does. */
const MOODS = ['well', 'silent', 'refusing'] as const
type Mood = (typeof MOODS)[number]

interface Receivers {
  readonly urls: readonly string[]
  mood: Mood
  /** Messages that the nine got. */
  got: number
  close(): void
}

async function openReceivers(): Promise<Receivers> {
  const servers = Array.from({ length: OTHERS + 1 }, (_, index) =>
    createServer((request, response) => {
      request.resume()
      request.on('end', () => {
        if (index < OTHERS) own.got += 1
        else if (own.mood === 'silent') return
        else if (own.mood === 'refusing') return void response.writeHead(500).end()
        response.writeHead(204).end()
      })
    }),
  )
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  }
  const urls = servers.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const close = () => {
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
  }
  const own: Receivers = { urls, mood: 'well', got: 0, close }
  return own
}

/** Send events to all ten, and wait until the nine have them. Returns milliseconds. */
async function round(stack: Stack, receivers: Receivers, mood: Mood, events: number) {
  receivers.mood = mood
  // What the round before left is not part of this one.
  await stack.query(
    `update deliveries set state = 'failed', leased = false, ended_at = now()
     where state = 'pending'`,
  )
  receivers.got = 0
  const startedMs = performance.now()
  await stack.query(
    `insert into events (shard, id, payment_id, type, sequence, body, created_at)
     select 0, nextval('event_ids'), n, 'payment.succeeded', 1,
       '{"type":"payment.succeeded","data":{"text":"' || repeat('x', 600) || '"}}', now()
     from generate_series(1, ${events}) n`,
  )
  while (receivers.got < events * OTHERS) await wait(LOOK_MS)
  return performance.now() - startedMs
}

function median(times: readonly number[]): number {
  return times.toSorted((one, other) => one - other)[Math.floor(times.length / 2)] ?? 0
}

async function main(events: number, rounds: number): Promise<void> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'payments-slow-endpoint-'))
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  // Open to pass through: as root, the server runs as somebody else.
  fs.chmodSync(folder, 0o711)
  const server = await startServer(folder, PORT)
  const at = { program: join(ROOT, 'dist/main.js'), folder, name: 'payments_slow_endpoint' }
  const around = { random: () => 0.5, onDeath: () => undefined }
  const stack = await startStack(server, at, { apis: 1, workers: 1 }, around)
  const receivers = await openReceivers()
  try {
    await stack.begin()
    await stack.ready()
    for (const url of receivers.urls) {
      const body = { url, types: ['payment.*'] }
      const { status } = await send(`${stack.apis[0]?.url}/api/v1/webhook-endpoints`, body, null)
      if (status !== 201) throw new Error(`an endpoint could not be made: ${status}`)
    }
    await round(stack, receivers, 'well', events)
    const times: Record<Mood, number[]> = { well: [], silent: [], refusing: [] }
    for (let turn = 0; turn < rounds; turn += 1) {
      // Each comes first as often as the others: the tables grow.
      const own = turn % MOODS.length
      for (const mood of [...MOODS.slice(own), ...MOODS.slice(0, own)]) {
        times[mood].push(await round(stack, receivers, mood, events))
      }
    }
    let worst = 0
    for (const mood of MOODS) {
      const ms = median(times[mood])
      const ratio = median(times[mood].map((own, turn) => own / (times.well[turn] ?? own)))
      worst = Math.max(worst, ratio)
      const rate = Math.round((events * OTHERS * 1_000) / ms)
      console.log(
        `the tenth is ${mood.padEnd(8)} ${ms.toFixed(0).padStart(6)} ms, ${rate} a second to the nine, ` +
          `${ratio.toFixed(3)} of the time`,
      )
    }
    process.exitCode = worst < LOST_MAX ? 0 : 1
  } finally {
    receivers.close()
    await stack.stop()
    await server.stop()
  }
}

const [events = '200', rounds = '25'] = process.argv.slice(2)
await main(Number(events), Number(rounds))
