import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { flood, openFlood } from '../test/attacks/notice-flood.ts'
import { freePort } from '../test/faults/processes.ts'
import { startServer } from '../test/faults/stack.ts'

/**
 * `npm run test:notices [-- notices]`: 100,000 notices that are forged, about nobody's payment or
 * for no gateway, as fast as they are answered, at a service with payments in hand. Authentic ones
 * come beside them. A first flood of a tenth warms the service up. Prints the rate, memory, what
 * the gateways were asked, and how long authentic notices took; exit code 1 where one of those was
 * not taken, memory grew by more than 50 MB, or the gateways were asked more than the payments in
 * hand allow.
 */
const count = Number(process.argv[2] ?? 100_000)
const GROWN_MB_MAX = 50
/** Payments in hand: each is asked about at most once in ten seconds, and thrice by schedule. */
const IN_HAND = 20

const folder = await fs.mkdtemp(join(tmpdir(), 'payments-notices-'))
const server = await startServer(folder, await freePort())
const program = fileURLToPath(new URL('../dist/main.js', import.meta.url))
const world = await openFlood(program, server.url(), folder)
const tell = (done: number) => void process.stderr.write(`${done} notices\n`)
await flood(world, Math.ceil(count / 10), tell)
world.questions()
const { seconds, worked, statuses, memory, authentic } = await flood(world, count, tell)
const asked = world.questions()
const sorted = authentic.times.toSorted((one, other) => one - other)
const quantile = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(0)
const askedMax = IN_HAND * (Math.ceil(seconds / 10) + 3)
const grown = (memory.at(-1) ?? 0) - (memory[0] ?? 0)
const told = [...statuses].toSorted().map(([status, times]) => `${times} × ${status}`)
for (const line of [
  `${count} notices in ${seconds.toFixed(1)} s: ${(count / seconds).toFixed(0)} a second,` +
    ` ${(count / worked).toFixed(0)} for each second of the service's processor time`,
  `answers: ${told.join(', ')}`,
  `memory: ${memory.map((one) => one.toFixed(0)).join(', ')} MB`,
  `questions to the gateways: ${asked}, of ${askedMax} at most`,
  `authentic: ${sorted.length}, of which ${authentic.refused.length} were not taken;` +
    ` p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms`,
  ...authentic.refused.slice(0, 5),
]) {
  process.stdout.write(`${line}\n`)
}
await world.stop()
await server.stop()
await fs.rm(folder, { recursive: true })
const ok = authentic.refused.length === 0 && grown <= GROWN_MB_MAX && asked <= askedMax
process.exitCode = ok ? 0 : 1
