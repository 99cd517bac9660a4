import { batcher, type Batcher } from './batcher.ts'

/** Join concurrent reads of the same kind into one query, each id asked for once. */
export function reader<Id, Row>(
  limits: { readonly sizeMax: number; readonly waitingMax: number },
  read: (ids: readonly Id[]) => Promise<(Row | null)[]>,
): Batcher<Id, Row | null> {
  return batcher(async (ids: Id[]) => {
    const distinct = [...new Set(ids)]
    const rows = await read(distinct)
    const byId = new Map(distinct.map((id, index) => [id, rows[index] ?? null]))
    return ids.map((id) => byId.get(id) ?? null)
  }, limits)
}
