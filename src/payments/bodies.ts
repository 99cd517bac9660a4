import { Type } from 'typebox'
import { DETAIL_PATTERNS, type Details } from '../domain/details.ts'
import { writeJson } from '../domain/exact-json.ts'
import type { Refusal } from '../domain/refusal.ts'
import { readKey } from '../http/idempotency.ts'
import { IntegerText, nullable, oneOf, parseSpan, SHOWN } from '../http/schemas.ts'
import {
  MetadataField,
  MetadataShown,
  ReferenceField,
  shownText,
  textField,
} from '../http/texts.ts'
import type { PaymentFilter } from './filter-store.ts'

const Description = textField(
  'For people: up to 500 characters. No card numbers.',
  shownText(DETAIL_PATTERNS.description, 'Two tickets'),
)

/** What may be said about a payment on every way of making one. */
export const DetailProperties = {
  reference: ReferenceField,
  description: Description,
  metadata: MetadataField,
  payment_method: textField(
    "The gateway's token of a card or an account, never the number of a card.",
    shownText(DETAIL_PATTERNS.paymentMethod, 'pm_1'),
  ),
  return_url: textField(
    'Where the gateway sends the payer back to.',
    shownText(DETAIL_PATTERNS.returnUrl, 'https://shop.example/thanks'),
  ),
}

/** The same for a payment of a batch: whatever it is not is the refusal of that payment alone. */
export const ItemDetailProperties = withoutBounds(DetailProperties)

function withoutBounds(properties: typeof DetailProperties): typeof DetailProperties {
  const loose = Object.entries(properties).map(([name, schema]) => {
    const { description, [SHOWN]: shape } = schema as unknown as {
      readonly description: string
      readonly [SHOWN]: { readonly examples: readonly unknown[] }
    }
    return [name, textField(description, { examples: shape.examples })]
  })
  return Object.fromEntries(loose) as typeof DetailProperties // The same names.
}

/** What was said about a payment, as it is shown. */
export const DetailsShown = {
  reference: nullable('string', { description: 'What the caller calls it.' }),
  description: nullable('string'),
  metadata: MetadataShown,
  payment_method: nullable('string', { description: "The gateway's token." }),
  return_url: nullable('string'),
}

/** The same of one payment; of a payment that repeats another, what was said about that one. */
export function detailsBody(details: Details | null) {
  return {
    reference: details?.reference ?? null,
    description: details?.description ?? null,
    metadata: details?.metadata ?? null,
    payment_method: details?.paymentMethod ?? null,
    return_url: details?.returnUrl ?? null,
  }
}

// No examples: Swagger UI would fill all of them in, and no payment fits so many filters.
const text = (description: string, pattern: string) =>
  Type.Optional(Type.String({ pattern, description }))

const time = (description: string) =>
  Type.Optional(Type.String({ format: 'date-time', description }))

/** What a list of payments can be filtered by beside their user, status and type. */
export const FILTERS = {
  reference: text(
    'With this reference, failed ones too. Of one that more than 1,000 payments have, a payment ' +
      'that repeats another is found with at most 1,000 of them in between.',
    DETAIL_PATTERNS.reference,
  ),
  idempotency_key: text(
    'The one made under this key of the user in `user_id`.',
    '^[\\x21-\\x7e]{1,255}$',
  ),
  gateway_ref: text("With this reference of the gateway's.", '^[\\x21-\\x7e]{1,255}$'),
  from: time('Accepted at this time or later.'),
  to: time('Accepted before this time.'),
}

interface FilterTexts {
  readonly user_id?: string
  readonly parent_id?: string
  readonly reference?: string
  readonly idempotency_key?: string
  readonly gateway_ref?: string
  readonly from?: string
  readonly to?: string
}

type FiltersRead =
  | {
      readonly ok: true
      readonly filter: Omit<PaymentFilter, 'userId' | 'parentId' | 'status' | 'type'>
      /** Which filters these are, for cursors; empty: none. */
      readonly text: string
    }
  | { readonly ok: false; readonly refusal: Refusal }

/**
 * Read those filters. A key belongs to its user, so it is looked for with one. A reference and a
 * key lead to one payment each, so neither is asked for beside the payment that others are of.
 */
export function readFilters(query: FilterTexts): FiltersRead {
  const { user_id: userId, reference = null, idempotency_key: key, gateway_ref: ref } = query
  if (key !== undefined && userId === undefined) {
    const errors = [{ field: 'user_id', code: 'required' }]
    return { ok: false, refusal: { code: 'query_invalid', errors } }
  }
  const alone = (['reference', 'idempotency_key'] as const).find(
    (name) => query[name] !== undefined,
  )
  if (query.parent_id !== undefined && alone !== undefined) {
    const errors = [{ field: alone, code: 'without_parent_id' }]
    return { ok: false, refusal: { code: 'query_invalid', errors } }
  }
  const span = parseSpan(query)
  if (!span.ok) return span
  const read = key === undefined ? null : readKey(key)
  const filter = {
    reference,
    idempotencyKey: read !== null && read.ok ? read.key : null,
    gatewayRef: ref ?? null,
    ...span.value,
  }
  if (read !== null && !read.ok) {
    const errors = [{ field: 'idempotency_key', code: 'malformed' }]
    return { ok: false, refusal: { code: 'query_invalid', errors } }
  }
  const given = Object.values(filter).some((one) => one !== null)
  return { ok: true, filter, text: given ? ` ${writeJson(filter)}` : '' }
}

/** How long an answer may be waited for, in seconds. */
export const WAIT = { min: 0, max: 30, fallback: 0 }

/** What may be said beside the id of a payment that is read. */
export const OneQuery = Type.Object(
  {
    refresh: Type.Optional(
      oneOf(['true', 'false'], {
        description: 'Ask the gateway first, which may end the payment: needs the scope `write`.',
      }),
    ),
    wait: IntegerText('Seconds to wait for it to be final.', WAIT),
  },
  { additionalProperties: false },
)
