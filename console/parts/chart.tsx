import { useState } from 'preact/hooks'
import { now } from '../app/feed.ts'
import { knownRuns, scaleOf, type Scale } from '../exact/scale.ts'
import { moment, words } from '../words/words.ts'
import { Scroll, When } from './basics.tsx'

/** A value at a moment; null: there is none, and nothing is drawn. */
interface Point {
  readonly at: number
  readonly value: number | null
}

interface ChartProps {
  readonly label: string
  readonly kind: 'steps' | 'line' | 'bars'
  readonly points: readonly Point[]
  /** A second row of values of the same moments, drawn over the first: what of it went wrong. */
  readonly over?: readonly number[]
  /** What is said of a point: in words, with its unit. */
  say(value: number, at: number): string
  /** What is written at the lines; without it there is nothing. */
  tick?: (value: number) => string
}

const WIDTH = 600
const HEIGHT = 132

/**
 * Values over time. A pointer, or the arrow keys, tell each of them exactly; a table has them all.
 */
export function Chart({ label, kind, points, over, say, tick }: ChartProps) {
  const [told, setTold] = useState<number | null>(null)
  const scale = scaleOf(
    points.flatMap(({ value }) => value ?? []),
    kind === 'bars',
  )
  const places = placesOf(points, scale, kind)
  const sayOf = ({ value }: Point, index: number) =>
    value === null ? words.value.noValue : say(value, index)
  const drawn = knownRuns(places)
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
    const by = STEPS[event.key]
    if (by === undefined) return
    event.preventDefault()
    setTold(Math.max(0, Math.min(last, (at ?? last) + by)))
  }
  const said =
    point === undefined ? '' : `${sayOf(point, at ?? last)}, ${moment(point.at, now.value)}`
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
            <Bars places={places} scale={scale} over={over} />
          ) : (
            <>
              <path class="area" d={drawn.map((run) => areaOf(run, kind)).join(' ')} />
              <path class="line" d={drawn.map((run) => lineOf(run, kind)).join(' ')} />
            </>
          )}
        </svg>
        {at === null ? null : (
          <span class="cursor" style={{ left: `${((places[at]?.x ?? 0) / WIDTH) * 100}%` }} />
        )}
      </div>
      <figcaption>
        <span>{moment(points[0]?.at ?? 0, now.value)}</span>
        <b>{said}</b>
      </figcaption>
      <Values label={label} points={points} say={sayOf} />
    </figure>
  )
}

/** Keys that go from one value to another. */
const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowRight: 1,
  PageUp: -10,
  PageDown: 10,
  Home: -Infinity,
  End: Infinity,
}

/** All values as a table, newest first, for whoever wants to read or to hear them. */
function Values(props: {
  label: string
  points: readonly Point[]
  say: (point: Point, at: number) => string
}) {
  const { label, points, say } = props
  const [open, setOpen] = useState(false)
  const w = words.value
  return (
    <details class="values" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{w.asTable}</summary>
      {open ? (
        <Scroll label={label}>
          <table class="list">
            <thead>
              <tr>
                <th scope="col">{w.when}</th>
                <th scope="col">{label}</th>
              </tr>
            </thead>
            <tbody>
              {points
                .map((point, at) => (
                  <tr key={point.at}>
                    <td>
                      <When at={new Date(point.at).toISOString()} />
                    </td>
                    <td>{say(point, at)}</td>
                  </tr>
                ))
                .reverse()}
            </tbody>
          </table>
        </Scroll>
      ) : null}
    </details>
  )
}

interface Place {
  readonly x: number
  /** Null: there is no value. */
  readonly y: number | null
}

function placesOf(points: readonly Point[], scale: Scale, kind: ChartProps['kind']): Place[] {
  const [first, end] = [points[0]?.at ?? 0, points.at(-1)?.at ?? 1]
  const width = kind === 'bars' ? WIDTH * (1 - 1 / Math.max(1, points.length)) : WIDTH
  return points.map(({ at, value }) => ({
    x: (end === first ? 0 : ((at - first) / (end - first)) * width) + (WIDTH - width) / 2,
    y: value === null ? null : heightOf(value, scale),
  }))
}

function heightOf(value: number, { min, max }: Scale): number {
  return HEIGHT - ((value - min) / (max - min)) * HEIGHT
}

type Known = readonly { readonly x: number; readonly y: number }[]

function lineOf([first, ...rest]: Known, kind: ChartProps['kind']): string {
  if (first === undefined) return ''
  // A line of one point could not be seen.
  if (rest.length === 0) return `M ${first.x - 5} ${first.y} h 10`
  const steps = rest.map(({ x, y }) => (kind === 'steps' ? `H ${x} V ${y}` : `L ${x} ${y}`))
  return `M ${first.x} ${first.y} ${steps.join(' ')}`
}

function areaOf(run: Known, kind: ChartProps['kind']): string {
  return run.length < 2 ? '' : `${lineOf(run, kind)} V ${HEIGHT} H ${run[0]?.x ?? 0} Z`
}

function Bars(props: {
  places: readonly Place[]
  over: readonly number[] | undefined
  scale: Scale
}) {
  const width = Math.max(1, (WIDTH / Math.max(1, props.places.length)) * 0.7)
  return (
    <>
      {props.places.map(({ x, y }, at) =>
        y === null ? null : (
          <rect key={at} class="bar" x={x - width / 2} y={y} width={width} height={HEIGHT - y} />
        ),
      )}
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
