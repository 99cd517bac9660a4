import type { Series } from '../../app/shapes.ts'
import { Section } from '../../parts/basics.tsx'
import { Chart } from '../../parts/chart.tsx'
import { count, rate, span, words } from '../../words/words.ts'

/** How the figures of the overview came about. */
export function Charts({ series }: { series: Series }) {
  const w = words.value
  const { step_seconds: step, times, accepted, succeeded, failed, unknown, p95_ms: most } = series
  const at = (values: readonly (number | null)[]) =>
    times.map((time, index) => ({ at: time * 1_000, value: values[index] ?? 0 }))
  const wrong = failed.map((value, index) => value + (unknown[index] ?? 0))
  const ended = wrong.map((value, index) => value + (succeeded[index] ?? 0))
  // A step in which nothing ended has no latency, and is no zero.
  const timed = times.flatMap((time, index) => {
    const [half, whole] = [series.p50_ms[index] ?? null, most[index] ?? null]
    return whole === null ? [] : [{ at: time * 1_000, value: whole, half: half ?? 0 }]
  })
  const perSecond = (value: number) => w.perSecond(rate(value))
  return (
    <div class="charts">
      <Section title={w.acceptedPerSecond}>
        <Chart
          label={w.acceptedPerSecond}
          kind="line"
          points={at(accepted.map((value) => value / step))}
          say={perSecond}
          tick={rate}
        />
      </Section>
      <Section title={w.ended} aside={<Key />}>
        <Chart
          label={w.ended}
          kind="bars"
          points={at(ended)}
          over={wrong}
          say={(value, index) => w.endedSaid(count(value), count(wrong[index] ?? 0))}
          tick={count}
        />
      </Section>
      <Section title={w.latencyOverTime}>
        {timed.length === 0 ? (
          <p class="quiet">{w.nothingEnded}</p>
        ) : (
          <Chart
            label={w.latencyOverTime}
            kind="line"
            points={timed}
            within={[(times[0] ?? 0) * 1_000, (times.at(-1) ?? 0) * 1_000]}
            say={(value, index) => w.latencySaid(span(timed[index]?.half ?? 0), span(value))}
            tick={span}
          />
        )}
      </Section>
      <Section title={w.latencySpread}>
        <Spread latency={series.latency} />
      </Section>
    </div>
  )
}

function Key() {
  const w = words.value
  return (
    <span class="quiet key">
      <i class="swatch" /> {w.states.success} <i class="swatch over" /> {w.wentWrong}
    </span>
  )
}

/** How many took how long, as bars that a person can read. */
function Spread({ latency: { bounds_ms: bounds, counts } }: { latency: Series['latency'] }) {
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
