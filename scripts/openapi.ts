import { readFileSync, writeFileSync } from 'node:fs'
import type { FastifyPluginAsync } from 'fastify'
import { pino } from 'pino'
import { systemClock } from '../src/adapters/clock.ts'
import { loadConfig } from '../src/config/config.ts'
import { letterGroupRoutes } from '../src/dead-letters/group-routes.ts'
import { deadLetterRoutes } from '../src/dead-letters/routes.ts'
import { WEBHOOKS } from '../src/events/webhook-document.ts'
import { eventRoutes } from '../src/events/routes.ts'
import { openGuards } from '../src/http/auth.ts'
import { noticeRoutes } from '../src/charging/notice-routes.ts'
import { gatewayRoutes } from '../src/charging/gateway-routes.ts'
import { healthRoutes } from '../src/http/health.ts'
import { buildServer } from '../src/http/server.ts'
import { keyRoutes } from '../src/keys/key-routes.ts'
import { sessionRoutes } from '../src/keys/session-routes.ts'
import { journalRoutes } from '../src/ledger/journal-routes.ts'
import { ledgerRoutes } from '../src/ledger/routes.ts'
import { counterRoutes } from '../src/metrics/routes.ts'
import { seriesRoutes } from '../src/metrics/series-routes.ts'
import { mockGatewayRoutes } from '../src/mock-gateway/routes.ts'
import { overviewRoutes } from '../src/overview/routes.ts'
import { batchRoutes } from '../src/payments/batch-routes.ts'
import { editRoutes } from '../src/payments/edit-routes.ts'
import { paymentRoutes } from '../src/payments/routes.ts'
import { processRoutes } from '../src/presence/routes.ts'
import { statementRoutes } from '../src/users/statement-routes.ts'
import { searchRoutes } from '../src/search/routes.ts'
import { timelineRoutes } from '../src/timeline/routes.ts'
import { API, MOCK_GATEWAY } from '../src/http/paths.ts'
import { verificationRoutes } from '../src/verify/run-routes.ts'
import { VERSION } from '../src/process/version.ts'
import { cancelRoutes } from '../src/operators/cancel-routes.ts'
import { refundRoutes } from '../src/refunds/routes.ts'
import { replayRoutes } from '../src/runs/replay-routes.ts'
import { runRoutes } from '../src/runs/routes.ts'
import { userListRoutes } from '../src/users/list-routes.ts'
import { userRoutes } from '../src/users/routes.ts'
import { userTextRoutes } from '../src/users/text-routes.ts'
import { deliveryRoutes } from '../src/webhooks/delivery-routes.ts'
import { webhookRoutes } from '../src/webhooks/routes.ts'
import { breakingChanges } from './breaking-changes.ts'

/**
 * Write docs/openapi.json: the document of a service that asks for keys, mock gateway included.
 * Routes are registered and never called, so no database is needed. A test compares it with a
 * running service. Says which changes break programs that were written for the document before.
 */
const nobody = new Proxy(() => nobody, { get: () => nobody }) as never

const app = await buildServer({
  logger: pino({ level: 'silent' }),
  bodyBytesMax: 1,
  version: VERSION,
  title: loadConfig({}).appName,
  documented: true,
  webhooks: WEBHOOKS,
  guards: openGuards(systemClock, { keys: nobody }),
  connections: { max: 1, elapsedMs: systemClock.elapsedMs },
  onAnswer: () => undefined,
})
const routes: FastifyPluginAsync[] = [
  userRoutes(nobody),
  userListRoutes(nobody),
  userTextRoutes(nobody),
  paymentRoutes(nobody),
  editRoutes(nobody),
  batchRoutes(nobody),
  timelineRoutes(nobody),
  eventRoutes(nobody),
  webhookRoutes(nobody),
  deliveryRoutes(nobody),
  replayRoutes(nobody),
  refundRoutes(nobody),
  cancelRoutes(nobody),
  deadLetterRoutes(nobody),
  letterGroupRoutes(nobody),
  journalRoutes(nobody),
  runRoutes(nobody),
  ledgerRoutes(nobody, 'USD'),
  counterRoutes(nobody),
  seriesRoutes(nobody),
  verificationRoutes(nobody),
  processRoutes(nobody),
  statementRoutes(nobody),
  searchRoutes(nobody),
  overviewRoutes(nobody),
  sessionRoutes(nobody),
  keyRoutes(nobody),
  noticeRoutes(nobody),
  gatewayRoutes(nobody),
  healthRoutes(nobody),
]
for (const plugin of routes) void app.register(plugin, { prefix: API })
void app.register(mockGatewayRoutes(nobody), { prefix: MOCK_GATEWAY })
await app.ready()
const file = new URL('../docs/openapi.json', import.meta.url)
const document = app.swagger()
const before = JSON.parse(readFileSync(file, 'utf8')) as object
for (const change of breakingChanges(before, document)) console.log(`breaking: ${change}`)
writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`)
