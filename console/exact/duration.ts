/** How long something took or takes, as a number and the unit that suits it. */
interface Duration {
  readonly value: string
  readonly unit: 'ms' | 's' | 'min' | 'h' | 'd'
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A duration with two or three digits: as much as a person wants to know. */
export function durationOf(ms: number): Duration {
  const span = Math.max(0, ms)
  if (span < SECOND) return { value: String(Math.round(span)), unit: 'ms' }
  if (span < MINUTE) return { value: short(span / SECOND), unit: 's' }
  if (span < HOUR) return { value: short(span / MINUTE), unit: 'min' }
  if (span < 2 * DAY) return { value: short(span / HOUR), unit: 'h' }
  return { value: String(Math.floor(span / DAY)), unit: 'd' }
}

/** Rounded down, so that 59.99 s is not 60 s. */
function short(value: number): string {
  return value < 10 ? String(Math.floor(value * 10) / 10) : String(Math.floor(value))
}
