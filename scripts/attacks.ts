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
 * or connections that are still there 30 s after the attackers have fallen silent.
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

await wait(5_000)
witness.take()
await wait(Math.min(seconds, 20) * 1_000)
const quiet = p99(witness.take())
const before = victim.usage()
print('attack', 'answers', 'p99 ms', 'refused', 'memory MB', 'files', 'freed s', '')
print(
  'none',
  '',
  quiet.toFixed(1),
  '0',
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
  const slow = p99(times) > 3 * quiet && p99(times) > quiet + 100
  const bad = refused > 0 || slow || memory - before.memory > 100 * MB || freed > FREED_SECONDS_MAX
  broken ||= bad
  const numbers = [times.length, p99(times).toFixed(1), refused, (memory / MB).toFixed(0), files]
  print(name, ...numbers.map(String), freed.toFixed(0), bad ? 'BROKEN' : 'ok')
  await wait(2_000)
  witness.take()
}

await witness.stop()
await victim.stop()
await server.stop()
await fs.rm(folder, { recursive: true })
for (const refusal of witness.refusals.slice(0, 20)) process.stdout.write(`${refusal}\n`)
process.exitCode = broken ? 1 : 0

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
