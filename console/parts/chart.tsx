import { useState } from 'preact/hooks'
import { now } from '../app/feed.ts'
import { scaleOf, type Scale } from '../exact/scale.ts'
import { moment } from '../words/words.ts'

/** A value at a moment. */
interface Point {
  readonly at: number
  readonly value: number
}

interface ChartProps {
  readonly label: string
  readonly kind: 'steps' | 'line' | 'bars'
  readonly points: readonly Point[]
  /** A second row of values of the same moments, drawn over the first: what of it went wrong. */
  readonly over?: readonly number[]
  /** What is said of a point: in words, with its unit. */
  say(value: number, at: number): string
  /** From when to when; without it, from the first point to the last. */
  readonly within?: readonly [from: number, to: number]
  /** What is written at the lines; without it there is nothing. */
  tick?: (value: number) => string
}

const WIDTH = 600
const HEIGHT = 132

/** Values over time. A pointer, or the arrow keys, tell each of them exactly. */
export function Chart({ label, kind, points, over, within, say, tick }: ChartProps) {
  const [told, setTold] = useState<number | null>(null)
  const scale = scaleOf(points.map(({ value }) => value))
  const places = placesOf(points, scale, { kind, within })
  const last = points.length - 1
  const at = told === null ? null : Math.min(told, last)
  const point = points[at ?? last]
  function nearest(event: PointerEvent): void {
    const box = (event.currentTarget as Element).getBoundingClientRect()
    const x = ((event.clientX - box.left) / box.width) * WIDTH
    const distances = places.map((place) => Math.abs(place.x - x))
    setTold(distances.indexOf(Math.min(...distances)))
  }
  function step(event: KeyboardEvent): void {
    const by = event.key === 'ArrowLeft' ? -1 : event.key === 'ArrowRight' ? 1 : 0
    if (by === 0) return
    event.preventDefault()
    setTold(Math.max(0, Math.min(last, (at ?? last) + by)))
  }
  const said =
    point === undefined ? '' : `${say(point.value, at ?? last)}, ${moment(point.at, now.value)}`
  return (
    <figure class="chart">
      <div
        class={tick === undefined ? 'plot' : 'plot ticked'}
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, last)}
        aria-valuenow={at ?? Math.max(0, last)}
        aria-valuetext={said}
        onPointerMove={nearest}
        onPointerLeave={() => setTold(null)}
        onBlur={() => setTold(null)}
        onKeyDown={step}
      >
        <Lines scale={scale} tick={tick} />
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          {kind === 'bars' ? (
            <Bars
              places={places}
              scale={scale}
              values={points.map(({ value }) => value)}
              over={over}
            />
          ) : (
            <>
              <path
                class="area"
                d={`${lineOf(places, kind)} V ${HEIGHT} H ${places[0]?.x ?? 0} Z`}
              />
              <path class="line" d={lineOf(places, kind)} />
            </>
          )}
        </svg>
        {at === null ? null : (
          <span class="cursor" style={{ left: `${((places[at]?.x ?? 0) / WIDTH) * 100}%` }} />
        )}
      </div>
      <figcaption>
        <span>{moment(spanOf(points, within)[0], now.value)}</span>
        <b>{said}</b>
      </figcaption>
    </figure>
  )
}

interface Place {
  readonly x: number
  readonly y: number
}

function placesOf(
  points: readonly Point[],
  scale: Scale,
  { kind, within }: { kind: ChartProps['kind']; within: ChartProps['within'] | undefined },
): Place[] {
  const [first, end] = spanOf(points, within)
  const width = kind === 'bars' ? WIDTH * (1 - 1 / Math.max(1, points.length)) : WIDTH
  return points.map(({ at, value }) => ({
    x: (end === first ? 0 : ((at - first) / (end - first)) * width) + (WIDTH - width) / 2,
    y: heightOf(value, scale),
  }))
}

function spanOf(
  points: readonly Point[],
  within: ChartProps['within'],
): readonly [from: number, to: number] {
  return within ?? [points[0]?.at ?? 0, points.at(-1)?.at ?? 1]
}

function heightOf(value: number, { min, max }: Scale): number {
  return HEIGHT - ((value - min) / (max - min)) * HEIGHT
}

function lineOf(places: readonly Place[], kind: ChartProps['kind']): string {
  const [first, ...rest] = places
  if (first === undefined) return ''
  // A line of one point could not be seen.
  if (rest.length === 0) return `M ${first.x - 4} ${first.y} h 4`
  const steps = rest.map(({ x, y }) => (kind === 'steps' ? `H ${x} V ${y}` : `L ${x} ${y}`))
  return `M ${first.x} ${first.y} ${steps.join(' ')}`
}

function Bars(props: {
  places: readonly Place[]
  values: readonly number[]
  over: readonly number[] | undefined
  scale: Scale
}) {
  const width = Math.max(1, (WIDTH / Math.max(1, props.places.length)) * 0.7)
  return (
    <>
      {props.places.map(({ x, y }, at) => (
        <rect key={at} class="bar" x={x - width / 2} y={y} width={width} height={HEIGHT - y} />
      ))}
      {(props.over ?? []).map((value, at) => {
        const y = heightOf(value, props.scale)
        const x = (props.places[at]?.x ?? 0) - width / 2
        return <rect key={at} class="bar over" x={x} y={y} width={width} height={HEIGHT - y} />
      })}
    </>
  )
}

function Lines({ scale, tick }: { scale: Scale; tick: ((value: number) => string) | undefined }) {
  const { min, max, ticks } = scale
  return (
    <>
      {ticks.map((value) => (
        <span
          key={value}
          class="grid"
          style={{ top: `${100 - ((value - min) / (max - min)) * 100}%` }}
        >
          {tick === undefined ? null : <small>{tick(value)}</small>}
        </span>
      ))}
    </>
  )
}
