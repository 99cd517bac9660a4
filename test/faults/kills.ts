import { CRASH_POINTS, type CrashPoint } from './crash-points.ts'
import type { Managed } from './processes.ts'
import type { Scenario, Stage } from './scenario.ts'
import { LEASE_MS } from './stack.ts'
import { check } from './witnesses.ts'

/** Processes that die again and again at a crash point, beside healthy ones of the same role. */
const ARMED = 3

/** No kill for so long: there will be none any more. */
const NEXT_MS_MAX = 90_000

/** What a kill at each point means for the payment. */
const MEANING: Readonly<Record<CrashPoint, string>> = {
  'accept.before_commit': 'nothing exists, and the retry makes the payment',
  'accept.after_commit': 'it exists, and the retry gets the answer that was never sent',
  'claim.after_commit': 'the lease ends, and another worker takes it up',
  'call.before_send': 'the attempt is in doubt; the gateway never heard of it',
  'call.after_reply': 'the gateway has charged; the next worker must not charge again',
  'settle.before_commit': 'the outcome is lost with the worker, the charge is not',
  'settle.after_commit': 'all is written; there is nothing left to do',
}

/** One scenario for each crash point: processes die there until enough have. */
const CRASHES: readonly Scenario[] = CRASH_POINTS.map((point, index) => {
  const inApi = point.startsWith('accept')
  const role = inApi ? 'api' : 'worker'
  return {
    name: `crash-${point.replace('.', '-').replaceAll('_', '-')}`,
    title: `SIGKILL at ${point}: ${MEANING[point]}`,
    lane: index % 2 === 0 ? 0 : 1,
    perSecond: 50,
    orphans: !inApi,
    needs: {},
    stack(kills, random) {
      // Starts with a point, and so deaths: those on the way count, and the last ones start
      // healthy.
      let starts = 0
      return {
        apis: inApi ? 1 + ARMED : 2,
        workers: inApi ? 1 : 1 + ARMED,
        arm(name) {
          // The first of each role stays healthy.
          if (!name.startsWith(role) || name.endsWith(' 1') || starts >= kills) return null
          starts += 1
          return `${point}:${1 + Math.floor(random() * 4)}`
        },
      }
    },
    async run({ count, kills, until, expect }) {
      const done = () => count(`killed at ${point}`)
      // As long as they come, however long a start takes on a machine that does much else.
      for (let times = 0; times < kills; times = done()) {
        const before = times
        if (!(await until(NEXT_MS_MAX, () => done() > before))) break
      }
      const times = done()
      const few = times >= kills ? [] : [`only ${times} of ${kills}`]
      expect(check('Every kill was delivered at its point', few, `${times} kills`))
    },
  }
})

const RANDOM_KILLS: Scenario = {
  name: 'random-kills',
  title: 'kill -9 of any api or worker at any moment, under load',
  lane: 1,
  perSecond: 120,
  orphans: true,
  needs: {},
  stack: () => ({ apis: 3, workers: 4 }),
  async run({ stack, random, kills, wait, until, count, expect }) {
    // The first of each role stays, so that recovery can be measured.
    const victims = [...stack.apis.slice(1), ...stack.workers.slice(1)]
    for (let kill = 0; kill < kills; kill += 1) {
      await until(20_000, () => victims.some((one) => one.alive()))
      await wait(random() * 300)
      const standing = victims.filter((one) => one.alive())
      any(standing.length > 0 ? standing : victims, random).kill()
      await until(5_000, () => count('SIGKILLs of processes') > kill)
    }
    const times = count('SIGKILLs of processes')
    const few = times >= Math.ceil(kills / 2) ? [] : [`only ${times} of ${kills}`]
    expect(check('Processes were killed', few, `${times} kills`))
  },
}

const ZOMBIES: Scenario = {
  name: 'zombie-workers',
  title: 'SIGSTOP of workers for longer than their lease, then SIGCONT: they report too late',
  lane: 0,
  perSecond: 80,
  needs: { 'workers stopped beyond their lease': 4, 'late reports of zombies': 1 },
  // A slow gateway, so that calls are on the way when a worker stops.
  stack: () => ({
    apis: 2,
    workers: 3,
    gatewayFaults: { latency_ms: 150, latency_jitter_ms: 300 },
  }),
  async run({ stack, wait, fired, add, healed }) {
    const zombies = stack.workers.slice(1)
    for (let round = 0; round < 2; round += 1) {
      await wait(1_500)
      for (const zombie of zombies) {
        zombie.signal('SIGSTOP')
        fired('workers stopped beyond their lease', `SIGSTOP ${zombie.name}`)
      }
      await wait(LEASE_MS + 1_500)
      for (const zombie of zombies) zombie.signal('SIGCONT')
      healed('SIGCONT')
    }
    await wait(1_500)
    const [row] = await stack.query<{ late: number }>(
      'select count(*)::int as late from payment_attempts where late',
    )
    add('late reports of zombies', row?.late ?? 0)
  },
}

/** How long a process may take to stop in order: SHUTDOWN_TIMEOUT_SECONDS and what ends it. */
const STOP_MS_MAX = 10_000

const ROLLING: Scenario = {
  name: 'rolling-restarts',
  title: 'SIGTERM of one process after the other under load: every one ends in order, with code 0',
  lane: 1,
  perSecond: 120,
  needs: { SIGTERMs: 12 },
  stack: () => ({ apis: 2, workers: 2 }),
  async run(stage) {
    const { stack, expect } = stage
    await stack.ready()
    const bad: string[] = []
    const lost = await lostClaims(stage)
    let slowest = 0
    for (let round = 0; round < 3; round += 1) {
      for (const one of [...stack.apis, ...stack.workers]) {
        const { code, tookMs } = await restart(stage, one)
        slowest = Math.max(slowest, tookMs)
        if (code !== 0 || tookMs > STOP_MS_MAX) bad.push(`${one.name}: code ${code}, ${tookMs} ms`)
      }
    }
    const within = `the slowest took ${Math.round(slowest)} ms`
    expect(check('Every process that is told to stop ends with code 0 in time', bad, within))
    const more = (await lostClaims(stage)) - lost
    const left = more === 0 ? [] : [`${more} leases left to end`]
    expect(check('A worker that stops in order leaves no lease behind', left, 'none'))
  },
}

async function restart({ fired, until }: Stage, one: Managed) {
  fired('SIGTERMs', `SIGTERM ${one.name}`)
  const ended = await one.restart()
  await until(20_000, () => one.alive())
  return ended
}

async function lostClaims({ stack }: Stage): Promise<number> {
  const [row] = await stack.query<{ lost: number }>(
    `select count(*)::int as lost from payment_attempts where reason = 'worker_lost'`,
  )
  return row?.lost ?? 0
}

function any<Item>(items: readonly Item[], random: () => number): Item {
  // Never empty where it is called.
  return items[Math.floor(random() * items.length)] as Item
}

export const KILLS: readonly Scenario[] = [...CRASHES, RANDOM_KILLS, ZOMBIES, ROLLING]
