/**
 * Prove that others verify what is sent to them: `npm run test:webhooks -- [payments]`. Processes
 * of the service call receivers made with the libraries of npm, PyPI and Go, while the secrets are
 * rotated twice.
 *
 * Exit code 0: every message was verified, and they are the ends of the payments; a receiver that
 * this machine cannot run is named with the reason. 1: not.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { startServer, startStack } from '../test/faults/stack.ts'
import { ROOT } from '../test/sources.ts'
import { proveWebhooks, ROTATIONS } from './prove-webhooks.ts'
import { startReceivers } from './receivers.ts'
import { temporaryFolder } from './temporary.mjs'

/** Away from the ports of the service and of the tests. */
const PORT = 55_460
const WORKERS = 2
/** A machine that is busy with other things is no outage of its database. */
const PATIENT = Object.fromEntries(
  ['CONNECT', 'STATEMENT', 'LOCK', 'IDLE_TRANSACTION'].map((name) => [
    `DATABASE_${name}_TIMEOUT_SECONDS`,
    '60',
  ]),
)
/** Some payments fail for good, and nothing else goes wrong. */
const FAULTS = {
  timeout_after: 0,
  error_before: 0,
  error_after: 0,
  reset_after: 0,
  latency_ms: 0,
  latency_jitter_ms: 0,
  decline: 0.1,
}

async function main(count: string): Promise<void> {
  const folder = temporaryFolder('payments-webhooks-')
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const receivers = await startReceivers(folder, (why) => console.log(`skipped ${why}`))
  const server = await startServer(folder, PORT)
  const at = { program: join(ROOT, 'dist/main.js'), folder, name: 'payments_webhooks' }
  const options = { apis: 1, workers: WORKERS, env: PATIENT, gatewayFaults: FAULTS }
  const around = { random: () => 0.5, onDeath: () => undefined }
  const stack = await startStack(server, at, options, around)
  try {
    await stack.begin()
    await stack.ready()
    const startedMs = performance.now()
    const [api] = stack.apis
    const { events, got, wrong } = await proveWebhooks({
      url: api?.url ?? '',
      receivers,
      payments: Number(count),
      query: (text) => stack.query(text),
    })
    const seconds = Math.round((performance.now() - startedMs) / 1_000)
    console.log(`${count} payments, ${events} events, ${ROTATIONS} rotations, ${seconds} s`)
    for (const { name, events: own, attempts, bySecret, refused } of got) {
      const parts = bySecret.join(' + ')
      console.log(`${name}: ${own} events in ${parts} = ${attempts} messages, ${refused} refused`)
    }
    for (const line of wrong) console.log(`WRONG: ${line}`)
    process.exitCode = wrong.length === 0 ? 0 : 1
  } finally {
    await stack.stop()
    await server.stop()
    await Promise.all(receivers.map((receiver) => receiver.end()))
  }
}

// Ended from outside, `exit` still ends what was started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130))
await new Command('webhook-proof')
  .description('Call receivers made with the libraries of others, and count what they verify.')
  .argument('[payments]', 'how many payments', '300')
  .action(main)
  .parseAsync()
process.exit()
