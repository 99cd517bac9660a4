import { Type } from 'typebox'
import { Id, MADE_HEADERS, missingBody, MissingShards, nullable, oneOf } from '../http/schemas.ts'
import { actsBody, AppliedFilter, RunActs, STATES } from './bodies.ts'
import type { Replay } from './events.ts'

export const ReplayBody = Type.Object(
  {
    id: Id,
    endpoint_id: Id,
    state: oneOf(STATES, {
      description: '`done`: every event is on its way again; `pending` says how many still are.',
    }),
    filter: AppliedFilter,
    total: Type.Integer({ description: 'Events of the snapshot.' }),
    rate_per_second: Type.Integer(),
    done: Type.Integer({ description: 'Events dealt with: sent or skipped.' }),
    sent: Type.Integer({ description: 'Put on their way again.' }),
    skipped: Type.Integer({ description: 'No longer kept when their turn came.' }),
    delivered: Type.Integer({ description: 'Of those sent: have arrived.' }),
    failed: Type.Integer({ description: 'Of those sent: given up.' }),
    pending: Type.Integer({ description: 'Of those sent: on their way.' }),
    ...RunActs,
    other: nullable('integer', {
      description:
        'Of those sent: none of these any more. A later replay has sent them and counts them, ' +
        'they are no longer kept, or the endpoint was removed. Null where shards are missing.',
    }),
    missing_shards: MissingShards,
  },
  {
    title: 'Replay',
    description: 'What another replay has sent since counts there, and here as `other`.',
  },
)

export const ReplayStarted = Type.Object(ReplayBody.properties, {
  title: 'Replay',
  headers: MADE_HEADERS,
})

/** A replay as the API shows it. */
export function replayBody({ run, delivered, failed, pending, other, missing }: Replay) {
  return {
    id: Number(run.id),
    endpoint_id: Number(run.endpointId),
    state: run.state,
    filter: { ...run.filter },
    total: run.total,
    rate_per_second: run.ratePerSecond,
    done: run.position,
    sent: run.carriedOut,
    skipped: run.skipped,
    delivered,
    failed,
    pending,
    ...actsBody(run),
    other,
    ...missingBody(missing),
  }
}
