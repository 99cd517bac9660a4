import type { FastifyPluginAsync } from 'fastify'
import { systemClock } from '../adapters/clock.ts'
import { letterGroupRoutes } from '../dead-letters/group-routes.ts'
import { groupLetters } from '../dead-letters/list.ts'
import type { Guards } from '../http/auth.ts'
import { workerOf, type Probes, type RouteProbes } from '../http/health.ts'
import { keyRoutes } from '../keys/key-routes.ts'
import { sessionRoutes } from '../keys/session-routes.ts'
import { seriesRoutes } from '../metrics/series-routes.ts'
import { series } from '../metrics/series.ts'
import { journalRoutes } from '../ledger/journal-routes.ts'
import { accountStatement } from '../ledger/statement.ts'
import { processRoutes } from '../presence/routes.ts'
import { overviewRoutes } from '../overview/routes.ts'
import { sharedOverview } from '../overview/overview.ts'
import { sharedAnswer } from '../overview/shared-answer.ts'
import type { Db } from '../ports.ts'
import { searchRoutes } from '../search/routes.ts'
import { search } from '../search/search.ts'
import { viewUsers } from '../users/read.ts'
import { statementRoutes } from '../users/statement-routes.ts'
import { verificationRoutes } from '../verify/run-routes.ts'
import { tellBroken } from '../events/books.ts'
import { verifyRuns } from '../verify/runs.ts'
import type { Process } from './shared.ts'
import { VERSION } from './version.ts'
import { tellOfBooks } from './verify-beside.ts'

/** What the routes for operators need of the other parts of their process. */
interface ConsoleNeeds {
  /** The database with the share of connections that reading has. */
  readonly reads: Db
  readonly guards: Guards
  readonly health: Probes & RouteProbes
  /** Whether the mock gateway is in this process. */
  readonly mockGateway: boolean
}

/** The routes that are there for operators and their console. */
export function consoleRoutes(shared: Process, needs: ConsoleNeeds): FastifyPluginAsync[] {
  const { db } = shared
  const { reads, guards, health } = needs
  return [
    sessionRoutes({ db: db.global, guards, service: factsOf(shared, needs) }),
    keyRoutes(db.global),
    verificationRoutes({ db: db.global, runs: openVerifyRuns(shared) }),
    letterGroupRoutes({
      books: db.currency,
      // Kept for nobody once it is read: who resolves letters looks at what is left.
      read: sharedAnswer(systemClock, 0, () => groupLetters(reads)),
    }),
    journalRoutes(reads),
    processRoutes({ db: db.global, settings: shared.config.shown }),
    statementRoutes({
      user: (id) => readUser(reads, id),
      account: (id, by) => accountStatement(reads, id, by),
    }),
    searchRoutes({ books: db.currency, find: (sought) => search(reads, sought) }),
    overviewRoutes({
      books: db.currency,
      read: sharedOverview({
        db: reads,
        clock: systemClock,
        routes: () => health.routes(),
        workerAlive: () => workerOf(health) === 'ok',
      }),
    }),
    seriesRoutes({
      books: db.currency,
      read: (span) => series({ db: reads, clock: systemClock }, span),
    }),
  ]
}

/** Checks of the books that operators start: they end with this process. */
function openVerifyRuns({ db, metrics, log, stops }: Process) {
  const runs = verifyRuns({
    db,
    clock: systemClock,
    onReport(found) {
      tellOfBooks({ metrics, log }, found)
      tellBroken(db, found, null).catch((error: unknown) =>
        log.warn({ err: error }, 'nobody could be told of broken books'),
      )
    },
    onError: (error) => log.warn({ err: error }, 'the books could not be checked'),
  })
  stops.push(() => runs.stop())
  return runs
}

async function readUser(db: Db, id: bigint) {
  const [user = null] = await viewUsers(db, [id])
  if (user !== null && 'error' in user) throw user.error
  return user
}

/** What the console is told of this service. */
function factsOf({ config }: Process, { mockGateway }: ConsoleNeeds) {
  const { appName: title, appEnv: environment, currency } = config
  return { title, version: VERSION, environment, currency, mockGateway }
}
