import { eachInTurn, whole } from '../each-shard.ts'
import type { Db, GatewayCharge } from '../ports.ts'
import type { ListedGateway } from './compare-with-gateway.ts'
import type { PassOptions, VerifyWorld } from './pass.ts'
import type { Report } from './report.ts'
import { gatewaysUsed } from './store.ts'
import { verify } from './verify.ts'

/** A charge that a gateway executed and the books do not have. */
export interface Lost {
  readonly gateway: string
  readonly charge: GatewayCharge
  /** The payment failed here; otherwise it is not in the books at all. */
  readonly failedHere: boolean
}

/** What the gateways have to say about what happened after a backup. */
export interface Missed {
  /** The first of them. */
  readonly lost: readonly Lost[]
  readonly lostCount: number
  /** Payments that are open here, and executed there: they end by themselves. */
  readonly toldCount: number
  /** Payments that are open here, executed there, and asked about by no worker. */
  readonly unaskedCount: number
  readonly report: Report
}

/** Of the gateways that payments went to, those that are none of these. */
export async function gatewaysUnnamed(db: Db, named: readonly string[]): Promise<string[]> {
  const used = whole(await eachInTurn(db.shards, gatewaysUsed)).flat()
  return [...new Set(used)].filter((name) => !named.includes(name)).toSorted()
}

/** How many lost charges are named. */
const LOST_MAX = 100_000

/**
 * Check the books, and compare them with everything that the gateways executed. What they lack was
 * charged after the moment that they are of.
 */
export async function findMissed(
  world: VerifyWorld,
  gateways: readonly ListedGateway[],
  { onProgress }: Pick<PassOptions, 'onProgress'>,
): Promise<Missed> {
  const lost: Lost[] = []
  let lostCount = 0
  let toldCount = 0
  let unaskedCount = 0
  const report = await verify(world, {
    gateways,
    ...(onProgress === undefined ? {} : { onProgress }),
    onListed({ gateway, charge, booked, wrong }) {
      if (booked?.status === 'new' || booked?.status === 'unknown') {
        if (booked.queued) toldCount += 1
        else unaskedCount += 1
      }
      if (!wrong.some(({ rule }) => rule === 'gateway_missing_here')) return
      lostCount += 1
      const failedHere = booked?.key === charge.key && booked?.status === 'failed'
      if (lost.length < LOST_MAX) lost.push({ gateway, charge, failedHere })
    },
  })
  return { lost, lostCount, toldCount, unaskedCount, report }
}
