import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ATTACKS } from '../test/attacks/attacks.ts'
import { startVictim, startWitness } from '../test/attacks/victim.ts'
import { freePort } from '../test/faults/processes.ts'
import { startServer } from '../test/faults/stack.ts'

/**
 * `npm run test:attacks [-- seconds]`: each attack without a key for a minute, at an API process
 * with 1,024 open files, beside a client with a key. Prints a table; exit code 1 where a bound was
 * broken: 100 MB more memory, a refusal, a p99 above three times that of quiet and 100 ms above it,
 * or connections that are still there 30 s after the attackers have fallen silent. The quiet before
 * and after an attack is looked at, and the worse of them counts, because the machine may have got
 * busy with something else.
 */
const seconds = Number(process.argv[2] ?? 60)
const MB = 1_024 * 1_024
const FREED_SECONDS_MAX = 30
const FILES_MORE = 10

const folder = await fs.mkdtemp(join(tmpdir(), 'payments-attacks-'))
const server = await startServer(folder, await freePort())
const program = fileURLToPath(new URL('../dist/main.js', import.meta.url))
const victim = await startVictim(program, server.url(), folder)
const witness = await startWitness(victim)
let broken = false

const QUIET_MS = Math.min(seconds, 20) * 1_000

await wait(5_000)
let quiet = await lookAtQuiet()
const before = victim.usage()
print('attack', 'answers', 'p99 ms', 'refused', 'memory MB', 'files', 'freed s', '')
print(
  'none',
  '',
  quiet.p99.toFixed(1),
  String(quiet.refused),
  (before.memory / MB).toFixed(0),
  String(before.files),
  '',
  '',
)

for (const { name, start } of ATTACKS) {
  const refusals = witness.refusals.length
  const attack = start(victim.port)
  let [memory, files] = [0, 0]
  for (let look = 0; look < seconds * 4; look += 1) {
    await wait(250)
    const usage = victim.usage()
    memory = Math.max(memory, usage.memory)
    files = Math.max(files, usage.files)
  }
  const times = witness.take()
  attack.fallSilent()
  const freed = await secondsUntilFreed()
  attack.close()
  const refused = witness.refusals.length - refusals
  await wait(2_000)
  const after = await lookAtQuiet()
  const usual = Math.max(quiet.p99, after.p99)
  const busy = Math.max(quiet.refused, after.refused)
  quiet = after
  const slow = p99(times) > 3 * usual && p99(times) > usual + 100
  const bad =
    (refused > 0 && busy === 0) ||
    slow ||
    memory - before.memory > 100 * MB ||
    freed > FREED_SECONDS_MAX
  broken ||= bad
  const numbers = [times.length, p99(times).toFixed(1), refused, (memory / MB).toFixed(0), files]
  print(name, ...numbers.map(String), freed.toFixed(0), bad ? 'BROKEN' : 'ok')
  print('  quiet around it', '', usual.toFixed(1), String(busy))
}

await witness.stop()
await victim.stop()
await server.stop()
await fs.rm(folder, { recursive: true })
for (const refusal of witness.refusals.slice(0, 20)) process.stdout.write(`${refusal}\n`)
process.exitCode = broken ? 1 : 0

/** What the client gets while nobody attacks. */
async function lookAtQuiet() {
  witness.take()
  const refusals = witness.refusals.length
  await wait(QUIET_MS)
  return { p99: p99(witness.take()), refused: witness.refusals.length - refusals }
}

async function secondsUntilFreed(): Promise<number> {
  const startedMs = performance.now()
  const tookSeconds = () => (performance.now() - startedMs) / 1_000
  while (victim.usage().files > before.files + FILES_MORE && tookSeconds() < 90) await wait(250)
  return tookSeconds()
}

function p99(times: readonly number[]): number {
  return times.toSorted((one, other) => one - other)[Math.floor(times.length * 0.99)] ?? 0
}

function print(name: string, ...cells: readonly string[]): void {
  process.stdout.write(`${name.padEnd(66)} ${cells.map((cell) => cell.padStart(9)).join(' ')}\n`)
}
