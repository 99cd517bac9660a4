import { userInfo } from 'node:os'

/** Where progress is shown: stderr, so that what a command prints can be piped. */
export interface ProgressStream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
  /** Whether colours may be used: Node's own answer minds NO_COLOR and TERM. */
  hasColors?(): boolean
}

/** One thing that takes a while. */
export interface ProgressBar {
  /** So much more is done. */
  tick(count: number): void
  /** It has ended; `text` says how, instead of the count. */
  done(text?: string): void
}

/** How often a terminal is drawn on, and how often a log gets a line, in milliseconds. */
const DRAW_MS = 100
const LINE_MS = 5_000
const BAR_WIDTH = 24
/** Columns of a terminal that does not say how wide it is, and of a pipe. */
const COLUMNS_DEFAULT = 80

/**
 * Show how far `label` has come: on a terminal one line that changes, with a bar, the rate and the
 * time that is left; elsewhere a plain line now and then. `total` 0 is not known. NO_COLOR takes
 * the colour away. Times are of the monotonic clock, so that a bar never jumps.
 */
export function progress(
  label: string,
  total: number,
  stream: ProgressStream = process.stderr,
): ProgressBar {
  const isTerminal = stream.isTTY === true
  const paint =
    isTerminal && stream.hasColors?.() === true
      ? (text: string) => `\x1b[36m${text}\x1b[0m`
      : (text: string) => text
  const startedMs = performance.now()
  let shownMs = startedMs
  let count = 0

  const line = (): string => {
    const seconds = Math.max((performance.now() - startedMs) / 1_000, 0.001)
    const rate = count / seconds
    const facts = [
      countText(count) + (total > 0 ? ` of ${countText(total)}` : ''),
      `${countText(rate)}/s`,
    ]
    if (total > count && rate > 0) facts.push(`${duration((total - count) / rate)} left`)
    return facts.join(', ')
  }
  const show = (): void => {
    if (!isTerminal) return void stream.write(`${label}: ${line()}\n`)
    const share = total > 0 ? Math.min(count / total, 1) : 0
    const full = Math.round(share * BAR_WIDTH)
    const bar = total > 0 ? `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)} ` : ''
    const room = (stream.columns ?? COLUMNS_DEFAULT) - 1
    // What does not fit is cut, because a line that wraps cannot be drawn over; colour has no
    // width.
    const text = `${label} ${bar}${line()}`.slice(0, room)
    stream.write(`\r\x1b[2K${text.replace(/[█░]+/, paint)}`)
  }

  return {
    tick(more) {
      count += more
      const nowMs = performance.now()
      if (nowMs - shownMs < (isTerminal ? DRAW_MS : LINE_MS)) return
      shownMs = nowMs
      show()
    },
    done(text) {
      const seconds = (performance.now() - startedMs) / 1_000
      const end = text ?? `${countText(count)} in ${duration(seconds)}`
      stream.write(`${isTerminal ? '\r\x1b[2K' : ''}${label}: ${end}\n`)
    },
  }
}

/** A count as people read it, without a fraction: `12,345`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** Seconds as people say them: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/**
 * Break a text between words, so that it fits into `columns` behind the `indent` columns that stand
 * in front of it. Further lines are indented as far. A word that is too long keeps its line to
 * itself.
 */
export function wrapped(text: string, indent: number, columns = COLUMNS_DEFAULT): string {
  const room = Math.max(1, columns - indent)
  const lines = text.split(' ').reduce<string[]>((done, word) => {
    const last = done.at(-1)
    if (last === undefined || last.length + 1 + word.length > room) return [...done, word]
    return [...done.slice(0, -1), `${last} ${word}`]
  }, [])
  return lines.join(`\n${' '.repeat(indent)}`)
}

/** Who runs the command, as the system knows them; a container's user may have no name. */
export function userName(): string {
  try {
    return userInfo()
      .username.replace(/[^\x21-\x7e]/g, '_')
      .slice(0, 90)
  } catch {
    return 'unknown'
  }
}
