import { ID_MAX } from '../domain/shard.ts'
import { parseId } from './schemas.ts'

/**
 * A cursor: where a page ended, and of which list with which filters. Opaque to callers; one that
 * was made for another list or filter is refused, because continuing it would skip or repeat rows.
 */
export function writeCursor(list: string, position: readonly string[]): string {
  return Buffer.from(JSON.stringify([list, ...position])).toString('base64url')
}

/** Read a cursor of `list`: its position, or null if it was not made for it. */
export function readCursor(list: string, cursor: string, length: number): string[] | null {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (!Array.isArray(parts) || parts.length !== length + 1 || parts[0] !== list) return null
    const position = parts.slice(1)
    return position.every((part) => typeof part === 'string') ? (position as string[]) : null
  } catch {
    return null
  }
}

/** The id that a page of `list` lies below: above all without a cursor, null by one of another. */
export function readBelow(list: string, cursor: string | undefined): bigint | null {
  return cursor === undefined ? ID_MAX : parseId(readCursor(list, cursor, 1)?.[0] ?? '')
}

/** The cursor of what lies below an id of `list`; null: nothing does. */
export function writeBelow(list: string, id: bigint | null): string | null {
  return id === null ? null : writeCursor(list, [String(id)])
}
