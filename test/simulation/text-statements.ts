import { ids, idsOrNone, texts, time, type Handlers } from './handlers.ts'
import { inShard, refuseUnless, type ActRow, type DetailsRow, type Tables } from './tables.ts'

type Metadata = DetailsRow['metadata']

function parsed<Value>(text: unknown): Value | null {
  return typeof text === 'string' ? (JSON.parse(text) as Value) : null
}

/** The first of the payments that one repeats. */
function firstOf(tables: Tables, id: bigint): bigint {
  const before = tables.payments.get(id)?.redriveOf ?? null
  return before === null ? id : firstOf(tables, before)
}

function takeReference(
  tables: Tables,
  shard: unknown,
  taken: { readonly userId: bigint; readonly reference: string; readonly paymentId: bigint },
): void {
  const key = `${taken.userId} ${taken.reference}`
  refuseUnless(tables.references.get(key) === undefined, '23505', 'payment_references_pkey')
  tables.references.set(key, { shard: Number(shard), ...taken })
}

const details: Handlers = {
  payment_details_write: {
    run(tables, values) {
      const [shard, paymentIds, userIds, lives, references, descriptions, metadata] = values
      const [methods, urls, sents] = values.slice(7)
      ids(paymentIds).forEach((paymentId, index) => {
        const reference = texts(references)[index] ?? null
        tables.details.set(paymentId, {
          shard: Number(shard),
          paymentId,
          reference,
          description: texts(descriptions)[index] ?? null,
          metadata: parsed<Metadata>(texts(metadata)[index]),
          paymentMethod: texts(methods)[index] ?? null,
          returnUrl: texts(urls)[index] ?? null,
          sent: JSON.parse(texts(sents)[index] as string) as Record<string, string>,
        })
        if (texts(lives)[index] !== 'true' || reference === null) return
        takeReference(tables, shard, {
          userId: ids(userIds)[index] as bigint,
          reference,
          paymentId,
        })
      })
      return []
    },
  },
  payment_details_sent: {
    run: (tables, [shard, paymentIds]) =>
      ids(paymentIds).flatMap((paymentId) => {
        const said = inShard(tables.details, paymentId, shard)
        return said === undefined ? [] : [{ paymentId, sent: said.sent }]
      }),
  },
  payment_details_read: { run: () => [] },
  payment_details_read_first: { run: () => [] },
}

const references: Handlers = {
  payment_references_read: {
    run: (tables, [shard, userIds, wanted]) =>
      ids(userIds).flatMap((userId, index) => {
        const key = `${userId} ${texts(wanted)[index]}`
        return inShard(tables.references, key, shard) ?? []
      }),
  },
  payment_references_leave: {
    run(tables, [, paymentIds]) {
      const left = new Set(ids(paymentIds))
      for (const [key, { paymentId }] of tables.references.rows) {
        if (left.has(paymentId)) tables.references.delete(key)
      }
      return []
    },
  },
  payment_references_left: {
    run: (tables, [shard, paymentIds]) =>
      ids(paymentIds).flatMap((paymentId) => {
        const payment = inShard(tables.payments, paymentId, shard)
        if (payment === undefined) return []
        const reference = tables.details.get(firstOf(tables, paymentId))?.reference ?? null
        if (reference === null) return []
        const { userId } = payment
        const holder = tables.references.get(`${userId} ${reference}`)
        return [{ paymentId, userId, reference, takenBy: holder?.paymentId ?? null }]
      }),
  },
  payment_references_take: {
    run(tables, [shard, userIds, taken, paymentIds]) {
      ids(userIds).forEach((userId, index) => {
        const reference = texts(taken)[index] as string
        const paymentId = ids(paymentIds)[index] as bigint
        takeReference(tables, shard, { userId, reference, paymentId })
      })
      return []
    },
  },
}

/** Details of a payment about which nothing was said. */
const UNSAID = {
  reference: null,
  description: null,
  metadata: null,
  paymentMethod: null,
  returnUrl: null,
  sent: {},
}

const edits: Handlers = {
  payments_first: {
    run: (tables, [shard, paymentIds]) =>
      ids(paymentIds).flatMap((id) => {
        const payment = inShard(tables.payments, id, shard)
        return payment === undefined ? [] : [{ firstId: firstOf(tables, id), type: payment.type }]
      }),
  },
  payment_details_lock: {
    locks: (_, [, id]) => [`texts ${BigInt(id as bigint)}`],
    run(tables, [shard, id]) {
      const paymentId = BigInt(id as bigint)
      const said = inShard(tables.details, paymentId, shard)
      if (said !== undefined) return [{ description: said.description, metadata: said.metadata }]
      tables.details.set(paymentId, { shard: Number(shard), paymentId, ...UNSAID })
      return [{ description: null, metadata: null }]
    },
  },
  payment_details_write_texts: {
    run(tables, [shard, id, description, metadata]) {
      const before = inShard(tables.details, BigInt(id as bigint), shard)
      if (before === undefined) return []
      tables.details.set(before.paymentId, {
        ...before,
        description: description as string | null,
        metadata: parsed<Metadata>(metadata),
      })
      return []
    },
  },
  operator_acts_insert_text: {
    run(tables, [shard, at, id, paymentId, , act, actor, , , before, after], context) {
      const own = BigInt(id as bigint)
      tables.acts.set(own, {
        shard: Number(shard),
        id: own,
        paymentId: idsOrNone([String(paymentId)])[0] ?? 0n,
        letterId: null,
        redriveId: null,
        act: act as ActRow['act'],
        actor: String(actor),
        before: JSON.parse(String(before)) as ActRow['before'],
        after: JSON.parse(String(after)) as ActRow['after'],
        createdAt: time(at, context),
      })
      return []
    },
  },
}

/** What is said about payments, and who changes it. */
export const said: Handlers = { ...details, ...references, ...edits }
