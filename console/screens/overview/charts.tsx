import type { Series } from '../../app/shapes.ts'
import { now } from '../../app/feed.ts'
import { withinMs, newest, ratesOf } from '../../exact/series.ts'
import { Section } from '../../parts/basics.tsx'
import { Chart } from '../../parts/chart.tsx'
import { Spread } from '../../parts/spread.tsx'
import { count, rate, span, words, zone } from '../../words/words.ts'

/** How the figures of the overview came about. */
export function Charts({ series }: { series: Series }) {
  const w = words.value
  const { times, accepted, succeeded, failed, p50_ms: half, p95_ms: most } = series
  const at = (values: readonly (number | null)[]) =>
    times.map((time, index) => ({ at: time * 1_000, value: values[index] ?? null }))
  const ended = failed.map((value, index) => value + (succeeded[index] ?? 0))
  const perSecond = (value: number) => w.perSecond(rate(value))
  return (
    <div class="charts">
      <Section title={w.acceptedPerSecond}>
        <Chart
          label={w.acceptedPerSecond}
          kind="line"
          points={at(ratesOf(accepted, series, now.value))}
          say={perSecond}
          tick={rate}
        />
      </Section>
      <Section title={w.ended} aside={<Key />}>
        <Chart
          label={w.ended}
          kind="bars"
          points={at(ended)}
          over={failed}
          say={(value, index) => w.endedSaid(count(value), count(failed[index] ?? 0))}
          tick={count}
        />
      </Section>
      <Section title={w.latencyOverTime}>
        {newest(most) === null ? (
          <p class="quiet">{w.nothingEnded}</p>
        ) : (
          <Chart
            label={w.latencyOverTime}
            kind="line"
            points={at(most)}
            say={(value, index) =>
              w.latencySaid(span(withinMs(half[index] ?? 0)), span(withinMs(value)))
            }
            tick={span}
          />
        )}
      </Section>
      <Section title={w.latencySpread}>
        <Spread bounds={series.latency.bounds_ms} counts={series.latency.counts} />
      </Section>
      <p class="quiet note">{w.timesIn(zone())}</p>
    </div>
  )
}

function Key() {
  const w = words.value
  return (
    <span class="quiet key">
      <i class="swatch" /> {w.states.success} <i class="swatch over" /> {w.states.failed}
    </span>
  )
}
