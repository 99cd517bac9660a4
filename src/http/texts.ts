import { Type } from 'typebox'
import { DETAIL_PATTERNS, DETAILS_MAX, type Details } from '../domain/details.ts'
import { SHOWN } from './schemas.ts'

/**
 * A field that is read by hand, so that every refusal names its place and a card number has a code
 * of its own; the documentation shows what it takes.
 */
export function textField(description: string, shape: object) {
  return Type.Optional(Type.Unsafe<unknown>({ description, [SHOWN]: shape }))
}

/** A text as the documentation shows it. */
export const shownText = (pattern: string, example: string) => ({
  type: 'string',
  pattern,
  examples: [example],
})

/** The same field where null takes away what it says. */
export function orNull(field: ReturnType<typeof textField>): ReturnType<typeof textField> {
  // What `textField` has made.
  const { description, [SHOWN]: shape } = field as unknown as {
    readonly description: string
    readonly [SHOWN]: { readonly type: string }
  }
  return textField(description, { ...shape, type: [shape.type, 'null'] })
}

/** What the caller calls a payment. */
export const ReferenceField = textField(
  "What you call it: unique among the user's payments that did not fail.",
  shownText(DETAIL_PATTERNS.reference, 'order-4711'),
)

/** What the caller keeps for itself. */
export const MetadataField = textField(
  'For you alone: a flat object of texts, up to 20 members. No card numbers.',
  {
    type: 'object',
    maxProperties: DETAILS_MAX.metadataKeys,
    propertyNames: { pattern: DETAIL_PATTERNS.metadataKey },
    additionalProperties: { type: 'string', pattern: DETAIL_PATTERNS.metadataValue },
    examples: [{ shop: 'berlin' }],
  },
)

/** The same as it is shown. */
export const MetadataShown = Type.Unsafe<Details['metadata']>({
  type: ['object', 'null'],
  additionalProperties: { type: 'string' },
})
