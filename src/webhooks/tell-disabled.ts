import { writeJson } from '../domain/exact-json.ts'
import { tellEvent } from '../events/store.ts'
import type { Db } from '../ports.ts'
import { markTold, untoldEndpoints, type DisabledEndpoint } from './endpoint-calls-store.ts'

/**
 * Tell other endpoints that one was disabled by the service. Where it fails, or the process dies,
 * somebody else tells it a minute later: at least once, and rarely twice.
 */
export async function tellDisabled(db: Db, endpoint: DisabledEndpoint): Promise<void> {
  const { id, url, disabledWhy: reason, disabledAt } = endpoint
  if (url === null || disabledAt === null) return
  // The path and query of a URL may be a secret, and others read this.
  const data = { endpoint_id: Number(id), url: new URL(url).origin, reason }
  const timestamp = disabledAt.toISOString()
  const type = 'webhook_endpoint.disabled'
  await tellEvent(db.of(id), type, writeJson({ type, timestamp, data }))
  await markTold(db.global, id)
}

/** Tell of endpoints of which nobody has told that they were disabled. */
export async function tellUntold(db: Db, onError: (error: unknown) => void): Promise<void> {
  for (const endpoint of await untoldEndpoints(db.global)) {
    await tellDisabled(db, endpoint).catch(onError)
  }
}
