import { Type, type TProperties, type TSchema } from 'typebox'
import { nullable } from './schemas.ts'

/** How many items a page of a list has at most, and how many where the caller does not say. */
export const PAGE_SIZE = { min: 1, max: 500, fallback: 50 } as const

/** What a list without pages and filters takes: what it does not know is refused there too. */
export const NO_QUERY = Type.Object({}, { additionalProperties: false })

/** Where a page continues. */
export const Cursor = Type.Optional(
  Type.String({ maxLength: 500, description: 'The `next_cursor` of the page before.' }),
)

/** A page of a list. */
export function pageOf<Item extends TSchema, More extends TProperties = Record<never, never>>(
  title: string,
  item: Item,
  more?: More,
) {
  const next = nullable('string', { description: 'Where the list goes on; null: it has ended.' })
  return Type.Object({ data: Type.Array(item), next_cursor: next, ...more }, { title })
}
