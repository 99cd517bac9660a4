import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { GATEWAY_DOWN } from './gateway-down.ts'
import { send } from './load.ts'
import { LOCKED_USER } from './locked-user.ts'
import { Skipped, type Scenario } from './scenario.ts'
import { startServer, type Server } from './stack.ts'
import { check } from './witnesses.ts'

const DATABASE_KILLS = 12
/** From the moment the database answers again to the first payment accepted, in milliseconds. */
const BACK_MS_MAX = 3_000

const DATABASE: Scenario = {
  name: 'database-killed',
  title: 'PostgreSQL killed with all its processes and started again, under load',
  lane: 0,
  perSecond: 120,
  needs: { 'PostgreSQL killed': 10 },
  stack: () => ({ apis: 2, workers: 2 }),
  async run({ stack, random, wait, fired, healed, until, expect }) {
    const slow: string[] = []
    let worst = 0
    for (let kill = 0; kill < DATABASE_KILLS; kill += 1) {
      await wait(500 + random() * 700)
      stack.server.kill()
      fired('PostgreSQL killed')
      await wait(random() * 500)
      await stack.server.revive()
      healed('PostgreSQL answers')
      const startedMs = performance.now()
      const [before] = await accepted(stack.query)
      await until(20_000, async () => ((await accepted(stack.query))[0] ?? 0) > (before ?? 0))
      const tookMs = performance.now() - startedMs
      worst = Math.max(worst, tookMs)
      if (tookMs > BACK_MS_MAX) slow.push(`${Math.round(tookMs)} ms`)
    }
    const name = `Payments are accepted again within ${BACK_MS_MAX / 1_000} s of the database`
    expect(check(name, slow, `the slowest after ${Math.round(worst)} ms`))
  },
}

async function accepted(
  query: <Row extends object>(text: string) => Promise<Row[]>,
): Promise<number[]> {
  const rows = await query<{ count: number }>('select count(*)::int as count from payments')
  return rows.map(({ count }) => count)
}

const LOST_COMMITS: Scenario = {
  name: 'lost-commits',
  title: 'The reply to COMMIT is thrown away after the server has sent it',
  lane: 1,
  perSecond: 250,
  needs: { 'database: COMMIT replies lost': 500 },
  stack: () => ({ apis: 2, workers: 2, env: { ACCEPT_LANES: '3', WORKER_BATCH: '8' } }),
  async run({ stack, count, until }) {
    stack.database.turn({ loseCommit: 0.35 })
    await until(180_000, () => count('COMMIT replies lost') >= 520)
  },
}

const HALF_OPEN: Scenario = {
  name: 'half-open',
  title: 'Connections to the database go silent both ways, and nobody is told',
  lane: 0,
  perSecond: 80,
  needs: { 'database: connections half open': 10 },
  stack: () => ({ apis: 2, workers: 2 }),
  async run({ stack, wait, fired, healed }) {
    for (let round = 0; round < 3; round += 1) {
      await wait(1_500)
      stack.database.turn({ blackHole: true })
      fired('the network swallows everything')
      await wait(4_000)
      stack.database.turn({})
      healed('network whole again')
    }
    await wait(1_000)
  },
}

const SLOW_DATABASE: Scenario = {
  name: 'slow-database',
  title: 'Every packet to and from the database is late and cut into pieces of a few bytes',
  lane: 1,
  perSecond: 60,
  needs: { 'database: chunks delayed': 500, 'database: chunks sliced': 500 },
  stack: () => ({ apis: 2, workers: 2 }),
  async run({ stack, wait, fired, enough }) {
    stack.database.turn({ latencyMs: 20, jitterMs: 60, sliceBytes: 10 })
    fired('latency of 20 to 80 ms, slices of 10 bytes')
    await wait(6_000)
    stack.database.turn({ latencyMs: 250, jitterMs: 500, sliceBytes: 10 })
    fired('latency of 250 to 750 ms, slices of 10 bytes')
    await wait(8_000)
    await enough()
  },
}

const RESETS: Scenario = {
  name: 'connection-resets',
  title: 'Every connection to the database is reset, again and again; replies too',
  lane: 0,
  perSecond: 120,
  needs: { 'database: connections reset': 100, 'database: replies replaced by a reset': 50 },
  stack: () => ({ apis: 2, workers: 2 }),
  async run({ stack, wait, random, fired, enough }) {
    for (let round = 0; round < 25; round += 1) {
      stack.database.turn({ loseReply: 0.03 })
      await wait(200 + random() * 400)
      stack.database.reset()
      fired('reset of every connection')
    }
    await enough()
  },
}

const GATEWAY: Scenario = {
  name: 'gateway-network',
  title: 'The network to the gateway delays, cuts and resets: calls time out after they were sent',
  lane: 0,
  perSecond: 120,
  needs: { 'gateway: replies replaced by a reset': 50, 'gateway: chunks delayed': 200 },
  stack: () => ({ apis: 2, workers: 2 }),
  async run({ stack, wait, fired, enough }) {
    stack.gateway.turn({ loseReply: 0.2 })
    fired('one reply in five lost')
    await wait(5_000)
    // Above the timeout of a second for many: the charge happens and its reply is too late.
    stack.gateway.turn({ latencyMs: 200, jitterMs: 500, sliceBytes: 10, loseReply: 0.1 })
    fired('latency of 0.4 to 1.4 s a call')
    await wait(6_000)
    await enough()
    for (let round = 0; round < 8; round += 1) {
      stack.gateway.reset()
      fired('reset of every connection to the gateway')
      await wait(250)
    }
  },
}

const READ_ONLY_MS = 3_000

const READ_ONLY: Scenario = {
  name: 'read-only-database',
  title: 'The database is switched to a read-only server and back, under load, twice',
  lane: 1,
  perSecond: 120,
  needs: { 'switched to read-only': 2, 'requests refused meanwhile': 10 },
  stack: () => ({ apis: 2, workers: 2 }),
  async run({ stack, wait, fired, add, answered, healed, until, expect }) {
    await stack.ready()
    const bad: string[] = []
    for (let round = 0; round < 2; round += 1) {
      await wait(2_000)
      const refused = answered(503)
      await stack.readOnly(true)
      fired('switched to read-only')
      for (const word of ['database_read_only', 'ok']) {
        for (const { name, url } of stack.apis) {
          const says = async () => (await readiness(url)) === word
          if (!(await until(TOLD_MS_MAX, says))) bad.push(`${name} never said ${word}`)
        }
        if (word === 'ok') break
        await wait(READ_ONLY_MS)
        add('requests refused meanwhile', answered(503) - refused)
        await stack.readOnly(false)
        healed('switched back')
      }
      const [before = 0] = await accepted(stack.query)
      const more = async () => ((await accepted(stack.query))[0] ?? 0) > before + 50
      if (!(await until(TOLD_MS_MAX, more))) bad.push('nothing is accepted')
    }
    expect(check('/readyz tells of a read-only server, and of its end', bad, 'each time'))
    const died = stack.deaths.map(({ name }) => name)
    expect(check('No process is restarted for it', died, 'none'))
  },
}

/** How long may pass before it is said: whoever looks after the pool looks every few seconds. */
const TOLD_MS_MAX = 60_000

async function readiness(url: string): Promise<unknown> {
  const { status, text } = await send(`${url}/readyz`, null, null)
  return status === 0 ? null : (JSON.parse(text) as { status?: unknown }).status
}

/** A database of about 60 MB with its WAL fits, and is soon full. */
const DISK_MB = 300
const SMALL = { max_wal_size: '64MB', min_wal_size: '32MB', shared_buffers: '32MB' }
const DISK_BACK_MS_MAX = 10_000

const DISK_FULL: Scenario = {
  name: 'disk-full',
  title: 'The disk of the database is full, for some seconds, twice; then there is room again',
  lane: 1,
  perSecond: 150,
  needs: { 'disk filled': 2, 'requests refused while the disk was full': 10 },
  server: startOnSmallDisk,
  stack: () => ({ apis: 2, workers: 2 }),
  async run({ stack, folder, wait, fired, add, answered, healed, until, expect }) {
    const filler = join(folder, 'disk', 'filler')
    const slow: string[] = []
    for (let round = 0; round < 2; round += 1) {
      await wait(2_000)
      fill(filler)
      fired('disk filled')
      const refused = answered(503)
      // Until the room that the files already have is used up, and nothing can be accepted.
      await wait(6_000)
      add('requests refused while the disk was full', answered(503) - refused)
      fs.rmSync(filler)
      healed('room again')
      const startedMs = performance.now()
      // A server that could not write its log has ended, and does not come back by itself.
      await stack.server.revive()
      const stuck = (await accepted(stack.query))[0] ?? 0
      await until(30_000, async () => ((await accepted(stack.query))[0] ?? 0) > stuck)
      const tookMs = Math.round(performance.now() - startedMs)
      if (tookMs > DISK_BACK_MS_MAX) slow.push(`${tookMs} ms`)
    }
    const name = `Payments are accepted again within ${DISK_BACK_MS_MAX / 1_000} s of the room`
    expect(check(name, slow, 'both times'))
  },
}

/** Write zeros until there is no room for more. */
function fill(path: string): void {
  const file = fs.openSync(path, 'w')
  try {
    for (const size of [1_048_576, 4_096]) {
      const zeros = Buffer.alloc(size)
      try {
        for (;;) if (fs.writeSync(file, zeros) < size) break
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'ENOSPC') throw error
      }
    }
  } finally {
    fs.closeSync(file)
  }
}

/** A server whose data lies on a small file system in memory, where this account may mount one. */
async function startOnSmallDisk(folder: string): Promise<Server & { close(): Promise<void> }> {
  const disk = join(folder, 'disk')
  fs.mkdirSync(disk)
  const options = ['-t', 'tmpfs', '-o', `size=${DISK_MB}m,mode=711`, 'tmpfs', disk]
  try {
    execFileSync('mount', options, { stdio: 'pipe' })
  } catch {
    throw new Skipped('a small file system cannot be mounted: it takes root and CAP_SYS_ADMIN')
  }
  const unmount = () => execFileSync('umount', ['-l', disk])
  try {
    const server = await startServer(disk, 55_640, SMALL)
    return {
      ...server,
      async close() {
        await server.stop()
        unmount()
      },
    }
  } catch (error) {
    unmount()
    throw error
  }
}

export const OUTAGES: readonly Scenario[] = [
  DATABASE,
  LOST_COMMITS,
  HALF_OPEN,
  SLOW_DATABASE,
  RESETS,
  GATEWAY,
  READ_ONLY,
  DISK_FULL,
  GATEWAY_DOWN,
  LOCKED_USER,
]
