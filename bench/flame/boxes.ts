import type { Frame, Origin } from './frame.ts'
import type { Call, Flame } from './tree.ts'

/** Rows at most; what is called deeper counts as its caller's own time. */
export const ROWS_MAX = 28

/** A rectangle of the picture. `from` and `share` are parts of all time. */
export interface Box {
  readonly frame: Frame
  /** `rest`: several calls too narrow to be shown each. */
  readonly kind: Origin | 'rest'
  readonly row: number
  readonly from: number
  readonly share: number
}

/**
 * Place the calls below their callers, the longest first. Those below `shareMin` become one box for
 * all of their caller's, if together they are wide enough: a gap would look like its own time.
 */
export function boxesOf({ root }: Flame, shareMin: number): Box[] {
  const boxes: Box[] = []
  const all = root.total
  const place = ({ children }: Call, row: number, from: number): void => {
    if (row >= ROWS_MAX) return
    let at = from
    let [narrow, rest] = [0, 0]
    for (const child of [...children.values()].toSorted((one, other) => other.total - one.total)) {
      const share = child.total / all
      if (share < shareMin) {
        narrow += 1
        rest += share
        continue
      }
      boxes.push({ frame: child.frame, kind: child.frame.origin, row, from: at, share })
      place(child, row + 1, at)
      at += share
    }
    if (rest >= shareMin)
      boxes.push({ frame: restOf(narrow), kind: 'rest', row, from: at, share: rest })
  }
  if (all === 0) return []
  boxes.push({ frame: root.frame, kind: 'rest', row: 0, from: 0, share: 1 })
  place(root, 1, 0)
  return boxes
}

function restOf(count: number): Frame {
  return { name: `${count} more`, module: '', place: 'each too short to show', origin: 'native' }
}

/** Each origin's part of all time, counted where it was spent. */
export function sharesOf({ root }: Flame): Readonly<Record<Origin, number>> {
  const spent = { own: 0, package: 0, node: 0, native: 0 }
  const add = ({ frame, self, children }: Call): void => {
    spent[frame.origin] += self / Math.max(root.total, Number.EPSILON)
    for (const child of children.values()) add(child)
  }
  add(root)
  return spent
}
