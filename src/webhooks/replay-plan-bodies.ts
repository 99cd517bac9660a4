import { Type } from 'typebox'
import { Id, missingBody, MissingShards, nullable, oneOf } from '../http/schemas.ts'
import { WANTABLE, WANTED_MAX } from '../domain/event.ts'

/** What a dry run of a replay found. */
export interface FoundEvents {
  /** What to start it by. */
  readonly snapshot: bigint
  readonly count: number
  /** Events that match, as far as was looked: those beyond the limit of one run included. */
  readonly matching: number
  readonly byType: readonly { readonly type: string; readonly count: number }[]
  readonly oldestAt: Date | null
  readonly newestAt: Date | null
  /** From when on there are more than fit into one run; null: there are not. */
  readonly until: Date | null
  /** Shards that could not be read: nothing of theirs is in it. */
  readonly missing: readonly number[]
}

export const ReplayFilterBody = Type.Object(
  {
    types: Type.Optional(
      Type.Array(oneOf(WANTABLE), {
        minItems: 1,
        maxItems: WANTED_MAX,
        description: 'Types or kinds; of those that the endpoint is told of.',
        examples: [['payment.succeeded']],
      }),
    ),
    only: Type.Optional(
      oneOf(['undelivered'], {
        description:
          'Without what has arrived, what is on its way and what another replay will send: what ' +
          'failed, or was not sent.',
      }),
    ),
    created_after: Type.Optional(Type.String({ format: 'date-time' })),
    created_before: Type.Optional(Type.String({ format: 'date-time' })),
  },
  {
    title: 'ReplayFilter',
    additionalProperties: false,
    description: 'Events that match all of it; {}: all that are kept.',
  },
)

export const ReplayPlanBody = Type.Object(
  {
    snapshot: Type.Integer({
      description: 'Start it within 15 minutes; then it is the replay’s id.',
    }),
    endpoint_id: Id,
    count: Type.Integer({ description: 'Events of the snapshot, at most 100,000: the oldest.' }),
    matching: Type.Integer({
      description: 'Events that match. Where `until` is not null: at least so many.',
    }),
    by_type: Type.Array(
      Type.Object({ type: Type.String(), count: Type.Integer() }, { title: 'ReplayTypeCount' }),
    ),
    oldest_at: nullable('string', { format: 'date-time' }),
    newest_at: nullable('string', { format: 'date-time' }),
    until: nullable('string', {
      format: 'date-time',
      description:
        'Not null: there are, or may be, more than one replay looks at. The next one goes ' +
        'on with this as `created_after`.',
    }),
    missing_shards: MissingShards,
  },
  { title: 'ReplayPlan', description: 'Events that can be sent to the endpoint again.' },
)

/** A plan as the API shows it. */
export function replayPlanBody(endpointId: bigint, found: FoundEvents) {
  const { snapshot, count, matching, byType, oldestAt, newestAt, until, missing } = found
  return {
    snapshot: Number(snapshot),
    endpoint_id: Number(endpointId),
    count,
    matching,
    by_type: byType.map((part) => ({ ...part })),
    oldest_at: oldestAt?.toISOString() ?? null,
    newest_at: newestAt?.toISOString() ?? null,
    until: until?.toISOString() ?? null,
    ...missingBody(missing),
  }
}
