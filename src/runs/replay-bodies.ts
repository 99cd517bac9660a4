import { Type } from 'typebox'
import {
  Id,
  LOCATION,
  missingBody,
  MissingShards,
  nullable,
  oneOf,
  REPLAYED,
  Time,
} from '../http/schemas.ts'
import type { Replay } from './events.ts'

export const ReplayBody = Type.Object(
  {
    id: Id,
    endpoint_id: Id,
    state: oneOf(['planned', 'running', 'done', 'canceled'], {
      description: '`done`: every event is on its way again; `pending` says how many still are.',
    }),
    filter: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]), {
      title: 'AppliedFilter',
    }),
    total: Type.Integer({ description: 'Events of the snapshot.' }),
    rate_per_second: Type.Integer(),
    done: Type.Integer({ description: 'Events dealt with: sent or skipped.' }),
    sent: Type.Integer({ description: 'Put on their way again.' }),
    skipped: Type.Integer({ description: 'No longer kept when their turn came.' }),
    delivered: Type.Integer({ description: 'Of those sent: have arrived.' }),
    failed: Type.Integer({ description: 'Of those sent: given up.' }),
    pending: Type.Integer({ description: 'Of those sent: on their way.' }),
    reason: nullable('string'),
    created_at: Time,
    created_by: Type.String(),
    started_at: nullable('string', { format: 'date-time' }),
    started_by: nullable('string'),
    ended_at: nullable('string', { format: 'date-time' }),
    canceled_by: nullable('string'),
    missing_shards: MissingShards,
  },
  { title: 'Replay', description: 'What another replay has sent since counts there.' },
)

export const ReplayStarted = Type.Object(ReplayBody.properties, {
  title: 'ReplayStarted',
  headers: { ...LOCATION, ...REPLAYED },
})

/** A replay as the API shows it. */
export function replayBody({ run, delivered, failed, pending, missing }: Replay) {
  return {
    id: Number(run.id),
    endpoint_id: Number(run.endpointId),
    state: run.state,
    filter: { ...run.filter },
    total: run.total,
    rate_per_second: run.ratePerSecond,
    done: run.position,
    sent: run.redriven,
    skipped: run.skipped,
    delivered,
    failed,
    pending,
    reason: run.reason,
    created_at: run.createdAt.toISOString(),
    created_by: run.createdBy,
    started_at: run.startedAt?.toISOString() ?? null,
    started_by: run.startedBy,
    ended_at: run.endedAt?.toISOString() ?? null,
    canceled_by: run.canceledBy,
    ...missingBody(missing),
  }
}
