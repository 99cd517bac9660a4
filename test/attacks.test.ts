import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ATTACKS } from './attacks/attacks.ts'
import { startVictim, startWitness } from './attacks/victim.ts'
import { cloneDatabase } from './databases.ts'

/** The program as it is shipped; `npm test` builds it first. */
const PROGRAM = fileURLToPath(new URL('../dist/main.js', import.meta.url))
/** Long enough for each attack to be all there; `npm run test:attacks` takes a minute for each. */
const ATTACK_MS = 2_000
const MEMORY_MAX = 100 * 1_024 * 1_024
/** Files beside those that were open before: the witness's own connections come and go. */
const FILES_MORE = 10

test(
  'without a key nobody makes a process refuse a client with one, grow, or keep what it opened',
  { skip: process.platform === 'linux' ? false : 'it reads /proc' },
  async (t) => {
    const database = await cloneDatabase(t)
    const cwd = await fs.mkdtemp(join(tmpdir(), 'payments-attacks-'))
    t.after(() => fs.rm(cwd, { recursive: true }))
    const victim = await startVictim(PROGRAM, database, cwd)
    t.after(() => victim.stop())
    const witness = await startWitness(victim)
    t.after(() => witness.stop())
    await wait(ATTACK_MS)
    const before = victim.usage()
    for (const { name, start } of ATTACKS) {
      const attack = start(victim.port)
      let memory = 0
      for (let look = 0; look < 20; look += 1) {
        await wait(ATTACK_MS / 20)
        memory = Math.max(memory, victim.usage().memory)
      }
      attack.close()
      assert.deepEqual(witness.refusals, [], name)
      const grown = Math.round((memory - before.memory) / 1_024 / 1_024)
      assert.ok(memory - before.memory <= MEMORY_MAX, `${name}: ${grown} MB`)
      for (let look = 0; look < 600; look += 1) {
        if (victim.usage().files <= before.files + FILES_MORE) break
        await wait(100)
      }
      const { files } = victim.usage()
      assert.ok(files <= before.files + FILES_MORE, `${name}: ${files} files are open`)
    }
    assert.doesNotMatch(victim.log(), /"level":50/)
    assert.match(victim.log(), /maximum of connections is reached/)
  },
)
