import { join } from 'node:path'
import { shardOf } from '../../src/domain/shard.ts'
import { freePort } from './processes.ts'
import type { Scenario, Stage } from './scenario.ts'
import { query } from './sql.ts'
import { startServer, type Server } from './stack.ts'
import { check } from './witnesses.ts'

const SHARDS = 8
/** How long all is well before and in between. */
const CALM_MS = 5_000
const AWAY_MS = 12_000
/** Until the first payment of a server that is back goes through. */
const BACK_MS_MAX = 30_000

let second: Server | null = null

/** Each of two servers is killed in turn; the first one is the home side as well. */
export const SERVER_KILLED: Scenario = {
  name: 'server-killed',
  title: 'Each of two servers with half of the shards is killed in turn, the home side included',
  lane: 1,
  perSecond: 60,
  needs: { 'server killed': 2, 'refused by shards that are away': 20 },
  async server(folder) {
    const home = await startServer(join(folder, 'spread-home'), await freePort())
    const other = await startServer(join(folder, 'spread-other'), await freePort())
    second = other
    return {
      ...home,
      async close() {
        await other.stop()
        await home.stop()
      },
    }
  },
  stack: () => ({ apis: 2, workers: 2, shards: SHARDS, ...(second === null ? {} : { second }) }),
  async run(stage) {
    const { stack, wait } = stage
    await stack.ready()
    await wait(CALM_MS)
    if (second !== null) await killed(stage, second, 1)
    await wait(CALM_MS)
    await killed(stage, stack.server, 0)
    await wait(CALM_MS)
  },
}

/** Kill the server of a half of the shards, watch the other half, and let it come back. */
async function killed(stage: Stage, server: Server, half: 0 | 1): Promise<void> {
  const { stack, wait, fired, healed, add, expect, until } = stage
  const name = half === 0 ? 'home side' : 'other server'
  const held = stack.held ?? []
  const [own, others] = [held[half]?.url ?? '', held[1 - half]?.url ?? '']
  const before = await successes(others)
  const fromMs = performance.now()
  server.kill()
  fired('server killed', `the ${name} is killed`)
  await wait(AWAY_MS)
  const after = await successes(others)
  await server.revive()
  healed(`the ${name} is back`)
  const toMs = performance.now()
  const here = await successes(own)
  const back = await until(BACK_MS_MAX, async () => (await successes(own)) > here)

  const { away, refused } = refusals(stage, half, fromMs, toMs)
  add('refused by shards that are away', away)
  const wrong = refused === 0 ? [] : [`${refused} refused`]
  expect(check(`While the ${name} is away nobody of the others is refused`, wrong, `${away} were`))
  const settled = after - before
  const none = settled > 0 ? [] : ['nothing was settled']
  expect(check(`While the ${name} is away the others are settled`, none, `${settled} payments`))
  const late = back ? [] : [`not in ${BACK_MS_MAX} ms`]
  expect(check(`The ${name} is used again by itself`, late, 'payments end in its shards'))
}

async function successes(url: string): Promise<number> {
  const text = "select count(*)::int as count from payments where status = 'success'"
  const [row] = await query<{ count: number }>(url, text)
  return row?.count ?? 0
}

/** How often users of a half that is away, and all others, were refused between two moments. */
function refusals(
  stage: Stage,
  half: 0 | 1,
  fromMs: number,
  toMs: number,
): { away: number; refused: number } {
  const counts = { away: 0, refused: 0 }
  for (const { userId, answers } of stage.journal()) {
    const isAway = shardOf(BigInt(userId), SHARDS) >= SHARDS / 2 === (half === 1)
    const times = answers.filter(
      ({ status, atMs }) => status >= 500 && atMs > fromMs && atMs < toMs,
    ).length
    counts[isAway ? 'away' : 'refused'] += times
  }
  return counts
}
