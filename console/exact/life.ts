import type { TimelineEvent } from '../app/shapes.ts'
import { entryOf } from './entry.ts'

/** The lanes of the picture, from top to bottom. */
export type Lane = 'gateway' | 'books' | 'people' | 'notices'

/** One thing in the picture; `from` and `to` are shares of its width, equal for a moment. */
export interface Mark {
  readonly lane: Lane
  readonly name: string
  readonly tone: Tone
  readonly from: number
  readonly to: number
  readonly event: TimelineEvent | null
  /** Its number among the calls; null: it is none. */
  readonly call: number | null
}

type Tone = 'good' | 'bad' | 'doubt' | 'plain'

/** A time in which nothing happened, long enough to be told. */
export interface Wait {
  readonly from: number
  readonly to: number
  readonly ms: number
  /** Whether it is not over. */
  readonly open: boolean
}

/** A stretch of the ribbon: what was known of the payment then. */
interface Stretch {
  readonly from: number
  readonly to: number
  readonly tone: Tone
}

interface Life {
  readonly marks: readonly Mark[]
  readonly waits: readonly Wait[]
  readonly ribbon: readonly Stretch[]
  /** When the picture begins and ends, in milliseconds of the epoch. */
  readonly begin: number
  readonly end: number
}

/** What of a payment decides how its picture ends. */
interface Ends {
  readonly status: string
  /** When it is looked at next, in milliseconds of the epoch; null: never by itself. */
  readonly nextAt: number | null
}

/** An event that was made for others. */
interface Notice {
  readonly type: string
  readonly timestamp: string
}

/** Shorter gaps are not called waits. */
const WAIT_MS = 200

/**
 * Draw the life of a payment. The axis is not even: a call takes milliseconds and a wait may take
 * hours, so each gap is as wide as the logarithm of its length, and nothing is out of sight.
 */
export function lifeOf(
  events: readonly TimelineEvent[],
  notices: readonly Notice[],
  { status, nextAt }: Ends,
): Life {
  const spans = events.map((event) => spanOf(event))
  const made = notices.map(({ timestamp }) => Date.parse(timestamp))
  const moments = spans.flatMap(({ from, to }) => [from, to]).concat(made)
  const last = Math.max(...moments)
  const end = nextAt !== null && nextAt > last ? nextAt : last
  const place = placer([...moments, end])
  let calls = 0
  const marks = events.flatMap((event, at): Mark[] => {
    const lane = laneOf(event.event)
    if (lane === null) return []
    const { from, to } = spans[at] ?? { from: end, to: end }
    const call = lane === 'gateway' ? (calls += 1) : null
    return [
      {
        lane,
        name: event.event,
        tone: toneOf(event),
        from: place(from),
        to: place(to),
        event,
        call,
      },
    ]
  })
  const told = notices.map(({ type }, at): Mark => {
    const x = place(made[at] ?? end)
    return { lane: 'notices', name: type, tone: 'plain', from: x, to: x, event: null, call: null }
  })
  return {
    marks: [...marks, ...told],
    waits: waitsOf(moments, spans, { end, last, place }),
    ribbon: ribbonOf(events, spans, { status, place }),
    begin: Math.min(...moments),
    end,
  }
}

interface Span {
  readonly from: number
  readonly to: number
}

function spanOf({ at, took_ms: took = 0 }: TimelineEvent): Span {
  const from = Date.parse(at)
  return { from, to: from + Number(took) }
}

/** Where a moment stands, as a share of the width. */
function placer(moments: readonly number[]): (moment: number) => number {
  const stops = [...new Set(moments)].toSorted((one, other) => one - other)
  const places = new Map<number, number>()
  let sum = 0
  stops.forEach((stop, at) => {
    const gap = stop - (stops[at - 1] ?? stop)
    sum += gap === 0 ? 0 : 2 + Math.log2(1 + gap)
    places.set(stop, sum)
  })
  return (moment) => (sum === 0 ? 0 : (places.get(moment) ?? sum) / sum)
}

/** Gaps in which no call ran. */
function waitsOf(
  moments: readonly number[],
  spans: readonly Span[],
  { end, last, place }: { end: number; last: number; place: (moment: number) => number },
): Wait[] {
  const stops = [...new Set(moments)].toSorted((one, other) => one - other)
  const gaps = stops.flatMap((to, at): Wait[] => {
    const from = stops[at - 1] ?? to
    const busy = spans.some((span) => span.from < to && span.to > from)
    if (busy || to - from < WAIT_MS) return []
    return [{ from: place(from), to: place(to), ms: to - from, open: false }]
  })
  if (end <= last) return gaps
  return [...gaps, { from: place(last), to: 1, ms: end - last, open: true }]
}

const LANES: Readonly<Record<string, Lane>> = {
  charge: 'gateway',
  lookup: 'gateway',
  worker_lost: 'gateway',
  hold: 'books',
  settle: 'books',
  release: 'books',
  settle_late: 'books',
  accepted: 'people',
  refused: 'people',
}

/** Where an event of the timeline is drawn. */
function laneOf(event: string): Lane | null {
  return entryOf(LANES, event) ?? 'people'
}

const TONES: Readonly<Record<string, Tone>> = {
  success: 'good',
  declined: 'bad',
  rejected: 'bad',
  misconfigured: 'bad',
  not_executed: 'bad',
  in_doubt: 'doubt',
  pending: 'doubt',
  settle: 'good',
  settle_late: 'good',
  release: 'bad',
  worker_lost: 'doubt',
  refused: 'bad',
}

/** What an event means for the payment. */
export function toneOf({ event, outcome, class: kind }: TimelineEvent): Tone {
  if (event === 'dead_letter') return kind === 'unknown' ? 'doubt' : 'bad'
  return entryOf(TONES, outcome ?? event) ?? 'plain'
}

const ENDS: Readonly<Record<string, Tone>> = { success: 'good', failed: 'bad', unknown: 'doubt' }

/** What was known of the payment, from each change of it to the next. */
function ribbonOf(
  events: readonly TimelineEvent[],
  spans: readonly Span[],
  { status, place }: { status: string; place: (moment: number) => number },
): Stretch[] {
  const changes: { at: number; tone: Tone }[] = [{ at: 0, tone: 'plain' }]
  events.forEach((event, index) => {
    const tone = knownAfter(event)
    const at = place(spans[index]?.to ?? 0)
    if (tone !== null && changes.at(-1)?.tone !== tone) changes.push({ at, tone })
  })
  const final = entryOf(ENDS, status)
  if (final !== undefined && changes.at(-1)?.tone !== final) changes.push({ at: 1, tone: final })
  return changes.map(({ at, tone }, index) => ({ from: at, to: changes[index + 1]?.at ?? 1, tone }))
}

function knownAfter({ event, outcome, class: kind }: TimelineEvent): Tone | null {
  if (outcome === 'in_doubt' || outcome === 'pending' || event === 'worker_lost') return 'doubt'
  if (event === 'settle' || event === 'settle_late') return 'good'
  if (event === 'release') return 'bad'
  if (event === 'dead_letter') return kind === 'unknown' ? 'doubt' : 'bad'
  return null
}
