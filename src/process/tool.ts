import { systemClock } from '../adapters/clock.ts'
import type { PostgresDb } from '../adapters/postgres.ts'
import { closing } from './closing.ts'
import { loadConfig, readEnvironment, type Config } from '../config/config.ts'
import { checkServers } from './check-servers.ts'
import { agreed } from './database-store.ts'
import type { FeePolicies } from '../domain/fee.ts'
import type { GatewayTerms } from '../domain/evidence.ts'
import type { Clock, Gateway, GatewayList } from '../ports.ts'
import type { KnownGateway } from '../charging/gateway-look.ts'
import { endPending } from '../charging/refresh.ts'
import { hasAddress } from '../config/gateways.ts'
import { findPayment } from '../payments/read.ts'
import { openDatabase } from './database.ts'
import { listOf, openDriver, profileOf } from './drivers.ts'
import { knownRanges } from './ranges.ts'
import { knownGateways, termsOf } from './routing.ts'
import { connect, demandRecovered, demandShards } from './shared.ts'
import { openWebhookTool } from './webhooks.ts'
import { heard } from '../charging/heard.ts'
import { chargeWorld } from './worker.ts'

/** What a tool works with: the service's own database. */
export interface Tool extends FeePolicies {
  readonly db: PostgresDb
  readonly clock: Clock
  /** What each gateway executed. */
  readonly gateways: readonly GatewayList[]
  /** The gateways as they are configured. */
  readonly known: readonly KnownGateway[]
  /** Open a gateway by its name; null: none is called so, or it has no address. */
  readonly openGateway: (name: string) => Gateway | null
  /** Ask its gateway to end a payment that it has in hand. */
  readonly end: (id: bigint) => Promise<void>
  /** What each gateway can do. */
  readonly terms: (gateway: string) => GatewayTerms
  /** What commands about webhook endpoints need beside the database. */
  readonly webhooks: ReturnType<typeof openWebhookTool>
  close(): Promise<void>
}

/**
 * Open the database for a tool: DATABASE_URL, or the embedded one where DATA_DIR holds it. Changes
 * nothing: a database whose schema or number of shards is not that of this build and its settings
 * is refused with a sentence. One that was restored and not recovered is there to be read, for
 * keys, and for corrections and returns: what else an operator does may have been done after the
 * backup.
 */
export async function openTool(use: 'acts' | 'reads' = 'acts'): Promise<Tool> {
  const config = loadConfig(readEnvironment(process.cwd()))
  const stops = closing()
  try {
    const url = await openDatabase(config, {
      stops,
      say: tell,
      schema: 'demand',
      embedded: 'found',
    })
    const known = knownRanges()
    const db = connect(config, url, 'payments tool', { ranges: known.get })
    stops.push(() => db.close())
    await checkServers(db, config)
    const shards = await agreed(db.global, 'shards')
    if (shards !== null) demandShards(shards, config.shards)
    await known.learn(db)
    if (use === 'acts') await demandRecovered(db)
    const { refundFee, returnFee } = config
    const currency = (await agreed(db.global, 'currency')) ?? config.currency
    const money = { refundFee, returnFee }
    const books = { ...db, currency }
    return {
      db: books,
      clock: systemClock,
      gateways: config.gateways.map((one) => ({ gateway: one.name, list: listOf(one) })),
      known: knownGateways(config),
      openGateway: (name) => opened(config, currency, name),
      end: (id) => askToEnd(config, books, id),
      terms: termsOf(config),
      ...money,
      webhooks: openWebhookTool(books, config, stops),
      close: () => stops.close(),
    }
  } catch (error) {
    await stops.close().catch(() => undefined)
    throw error
  }
}

/** A configured gateway, for one command. */
function opened(config: Config, books: string, name: string): Gateway | null {
  const gateway = config.gateways.find((one) => one.name === name)
  if (gateway === undefined || !hasAddress(gateway)) return null
  const opening = { clock: systemClock, books, connections: 1, mockUrl: () => '' }
  return openDriver(gateway, profileOf(gateway), opening)
}

/** Have a payment ended by its gateway, if that can; what it said is settled like any answer. */
async function askToEnd(config: Config, db: PostgresDb, id: bigint): Promise<void> {
  const payment = await findPayment(db, id)
  if (payment === undefined) return
  const { gateway: name } = payment
  const configured = config.gateways.find((one) => one.name === name)
  const gateway = opened(config, db.currency, name)
  if (configured === undefined || gateway === null) {
    throw new Error(
      `The gateway ${name} has no address in these settings: run this with those of the worker, ` +
        'or cancel the payment through the API.',
    )
  }
  try {
    if (gateway.cancel === undefined) return
    const open = {
      config: configured,
      gateway,
      heard: heard(systemClock, configured.notFoundGraceMs),
    }
    await endPending(chargeWorld({ config, db, tracer: null }, open), id)
  } finally {
    await gateway.close()
  }
}

/** What is done meanwhile goes to stderr. */
function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}
