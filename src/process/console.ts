import type { FastifyPluginAsync } from 'fastify'
import { systemClock } from '../adapters/clock.ts'
import type { Guards } from '../http/auth.ts'
import { keyRoutes } from '../keys/key-routes.ts'
import { sessionRoutes } from '../keys/session-routes.ts'
import { seriesRoutes } from '../metrics/series-routes.ts'
import { series } from '../metrics/series.ts'
import type { Db } from '../ports.ts'
import type { Process } from './shared.ts'
import { VERSION } from './version.ts'

/** What the routes for operators need of the other parts of their process. */
interface ConsoleNeeds {
  /** The database with the share of connections that reading has. */
  readonly reads: Db
  readonly guards: Guards
  /** Whether the mock gateway is in this process. */
  readonly mockGateway: boolean
}

/** The routes that are there for operators and their console. */
export function consoleRoutes(shared: Process, needs: ConsoleNeeds): FastifyPluginAsync[] {
  const { db } = shared
  const { reads, guards } = needs
  return [
    sessionRoutes({ db: db.global, guards, service: factsOf(shared, needs) }),
    keyRoutes(db.global),
    seriesRoutes({
      books: db.currency,
      read: (span) => series({ db: reads, clock: systemClock }, span),
    }),
  ]
}

/** What the console is told of this service. */
function factsOf({ config }: Process, { mockGateway }: ConsoleNeeds) {
  const { appName: title, appEnv: environment, currency } = config
  return { title, version: VERSION, environment, currency, mockGateway }
}
