import { count, span, words } from '../words/words.ts'

/** How many took how long, as bars that a person can read. */
export function Spread(props: {
  /** The upper bounds of the classes, in milliseconds; the last class has none. */
  bounds: readonly number[]
  counts: readonly number[]
}) {
  const { bounds, counts } = props
  const w = words.value
  const all = counts.reduce((sum, one) => sum + one, 0)
  if (all === 0) return <p class="quiet">{w.nothingEnded}</p>
  const last = counts.findLastIndex((one) => one > 0)
  const first = counts.findIndex((one) => one > 0)
  const most = Math.max(...counts)
  return (
    <ul class="spread">
      {counts.slice(first, last + 1).map((value, index) => {
        const bound = bounds[first + index]
        return (
          <li key={bound ?? 'more'}>
            <span class="quiet">{bound === undefined ? w.longer : w.upTo(span(bound))}</span>
            <span class="bar-track">
              <i style={{ width: `${(value / most) * 100}%` }} />
            </span>
            <span class="number">{count(value)}</span>
          </li>
        )
      })}
    </ul>
  )
}
