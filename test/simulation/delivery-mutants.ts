import { both, mutant, NOTHING, statement, value, type Mutant } from './planting.ts'
import { TOLD } from './plenty.ts'
import type { DeliveryRow } from './delivery-rows.ts'
import { deliveryKey, knownKey } from './delivery-statements.ts'
import { ids } from './handlers.ts'
import type { Tables } from './tables.ts'
import type { Delivered } from '../../src/webhooks/deliver.ts'
import type { Plants, Telling } from './world-types.ts'

function telling(name: string, about: string, plants: Plants): Mutant {
  return mutant(name, about, both(TOLD, plants))
}

/** Change what a call is taken for. */
function taken(change: (done: Awaited<ReturnType<Telling['deliver']>>) => typeof done): Plants {
  return {
    telling: (real) => ({
      ...real,
      deliver: async (...asked) => change(await real.deliver(...asked)),
    }),
  }
}

/** Have the real claim see what is not so. */
function seeing(change: (tables: Tables, shard: unknown) => void): Plants {
  return statement('deliveries_claim', (real) => ({
    run(tables, values, context) {
      change(tables, values[0])
      return real.run(tables, values, context)
    },
  }))
}

/** Any claim says what came of a delivery, also when that is over. */
const ANY_CLAIM_SETTLES = statement('deliveries_settle', (real) => ({
  run(tables, values, context) {
    const endpointIds = ids(values[3])
    const fences = ids(values[2]).map((eventId, index) => {
      const key = deliveryKey(eventId, endpointIds[index] as bigint)
      const row = tables.deliveries.get(key)
      const open = { state: 'pending', leased: true } as const
      if (row !== undefined) tables.deliveries.set(key, { ...row, ...open })
      return row?.fence ?? 0
    })
    return real.run(tables, values.with(4, `{${fences.join()}}`), context)
  },
}))

const ORDER_FORGOTTEN = seeing((tables, shard) => {
  for (const [key, row] of tables.subscriptions.rows) {
    if (row.shard === shard && row.ordered)
      tables.subscriptions.set(key, { ...row, ordered: false })
  }
})

/** A claim that was lost is forgotten with what it was for. */
const LOST_CLAIM_IS_OVER = seeing((tables, shard) => {
  for (const [key, row] of tables.deliveries.rows) {
    if (row.shard === shard && row.leased) tables.deliveries.set(key, { ...row, runAt: Infinity })
  }
})

/** What is put aside comes due by nothing but the end of what it waits for, which is unseen. */
const ASIDE_FOR_GOOD = both(
  statement('deliveries_set_aside', (real) => ({
    run(tables, values, context) {
      const rows = real.run(tables, values, context)
      for (const [key, row] of tables.deliveries.rows) {
        if (row.setAside) tables.deliveries.set(key, { ...row, runAt: Infinity })
      }
      return rows
    },
  })),
  statement('deliveries_settle', (real) => ({
    run(tables, values, context) {
      const aside = [...tables.deliveries.rows].filter(([, { setAside }]) => setAside)
      const rows = real.run(tables, values, context)
      for (const [key, row] of aside) tables.deliveries.set(key, row)
      return rows
    },
  })),
)

const BODY_OF_NOW = statement('deliveries_claim', (real) => ({
  run: (tables, values, context) =>
    real.run(tables, values, context).map((row) => {
      const { body, attempts } = row as { readonly body: string; readonly attempts: number }
      return {
        ...(row as object),
        body: body.replace('"data":{', `"data":{"attempt":${attempts},`),
      }
    }),
}))

/** Only those that are pending are sent again, as if the others had never been. */
const REPLAY_OF_NEW_ALONE = statement('deliveries_replay', (real) => ({
  run(tables, values, context) {
    const kept = new Map(tables.deliveries.rows)
    const rows = real.run(tables, values, context)
    for (const eventId of ids(values[4])) {
      const key = deliveryKey(eventId, BigInt(values[2] as bigint))
      const was = kept.get(key)
      if (was !== undefined) tables.deliveries.set(key, was)
    }
    return rows
  },
}))

const DELIVERED_WHILE_FED = statement('events_feed', (real) => ({
  run(tables, values, context) {
    const before = new Set(tables.deliveries.rows.keys())
    const rows = real.run(tables, values, context)
    const fresh = [...tables.deliveries.rows.values()].filter(
      ({ eventId, endpointId }) => !before.has(deliveryKey(eventId, endpointId)),
    )
    const last = fresh.length > 1 ? (fresh.at(-1) as DeliveryRow) : null
    if (last !== null) tables.deliveries.delete(deliveryKey(last.eventId, last.endpointId))
    return rows
  },
}))

const DISABLED_UNTOLD = statement('subscriptions_write', (real) => ({
  run(tables, values, context) {
    const was = tables.subscriptions.get(knownKey(values[0], values[1]))
    return real.run(tables, was === undefined ? values : values.with(4, true), context)
  },
}))

/** A place is free when its call has ended, whatever came of it. */
function freeAtOnce(real: Telling['deliveryPlaces']): Telling['deliveryPlaces'] {
  return (...asked) => {
    const places = real(...asked)
    return {
      ...places,
      async during(delivery, signal, make) {
        let delivered: Delivered | null = null
        const given = await places.during(delivery, signal, async () => {
          delivered = await make()
          return { ...delivered, verdict: null }
        })
        return delivered ?? given
      },
      written: (_, left) => left,
    }
  }
}

/** Whatever is claimed is called, whatever is under way. */
function unplaced(real: Telling['deliveryPlaces']): Telling['deliveryPlaces'] {
  return (asked) => ({ ...real(asked), during: (_, _signal, make) => make(), taken: () => 0 })
}

/** Bugs of how events are sent to endpoints. */
export const DELIVERY_MUTANTS: readonly Mutant[] = [
  telling('delivery_order_forgotten', 'an ordered endpoint gets what is due', ORDER_FORGOTTEN),
  telling('delivery_lost_claim_over', 'what a dead worker had is not sent', LOST_CLAIM_IS_OVER),
  telling('delivery_aside_for_good', 'what waits for an earlier event stays aside', ASIDE_FOR_GOOD),
  telling('delivery_body_of_now', 'the body is made anew at each attempt', BODY_OF_NOW),
  telling(
    'delivery_any_claim_settles',
    'a claim that lost its lease settles',
    both(ANY_CLAIM_SETTLES, {
      trouble: { pause: 0.03, worker_crash: 0 },
      plan: { ...TOLD.plan, wishes: 0, workers: 3 },
    }),
  ),
  telling(
    'delivery_any_answer_arrives',
    'whatever is answered counts as delivered',
    taken((done) => {
      const { verdict, result } = done
      if (result.status === null || verdict === null || verdict.gone) return done
      const over = { state: 'delivered', delayMs: 0 } as const
      return { ...done, verdict: { ...verdict, ...over }, result: { ...result, ...over } }
    }),
  ),
  telling(
    'delivery_silence_arrives',
    'a call that timed out counts as delivered',
    taken((done) => {
      if (done.result.reason !== 'timeout' || done.verdict === null) return done
      const over = { state: 'delivered', delayMs: 0 } as const
      return {
        ...done,
        verdict: { ...done.verdict, ...over },
        result: { ...done.result, ...over },
      }
    }),
  ),
  telling(
    'delivery_refused_for_good',
    'a 4xx is not tried again',
    taken((done) => {
      if (done.result.status !== 404 || done.verdict === null) return done
      const over = { state: 'failed', delayMs: 0 } as const
      return {
        ...done,
        verdict: { ...done.verdict, ...over },
        result: { ...done.result, ...over },
      }
    }),
  ),
  telling(
    'delivery_gone_goes_on',
    '410 disables nobody',
    taken(({ verdict, ...done }) => ({ ...done, verdict: verdict && { ...verdict, gone: false } })),
  ),
  telling('delivery_disabled_untold', 'shards go on calling who is disabled', DISABLED_UNTOLD),
  telling(
    'delivery_pause_unwritten',
    'an endpoint that asks for a pause is called all the same',
    statement('subscriptions_pause', () => NOTHING),
  ),
  telling('delivery_uncounted', 'what is claimed ahead waits for no place', {
    telling: (real) => ({ ...real, deliveryPlaces: unplaced(real.deliveryPlaces) }),
  }),
  telling('delivery_place_free_at_once', 'a place is free while "busy" is still unwritten', {
    telling: (real) => ({ ...real, deliveryPlaces: freeAtOnce(real.deliveryPlaces) }),
  }),
  telling('delivery_left_out', 'of many new events one is sent to nobody', DELIVERED_WHILE_FED),
  telling(
    'delivery_type_forgotten',
    'a shard forgets one of the types that are wanted',
    value('subscriptions_write', 3, (types) => (types as readonly string[]).slice(1)),
  ),
  telling('replay_of_new_alone', 'what failed is not sent again by a replay', REPLAY_OF_NEW_ALONE),
]
