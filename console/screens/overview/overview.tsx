import { now, useFeed } from '../../app/feed.ts'
import { filter, route } from '../../app/router.ts'
import type { Series, State } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { FIRST_CLASS_MS, withinMs, newest, rateOf, totalsOf } from '../../exact/series.ts'
import { Section } from '../../parts/basics.tsx'
import { LeftOutOf, Loaded, ScreenFrame } from '../../parts/screen.tsx'
import { count, percent, rate, span, words } from '../../words/words.ts'
import { Charts } from './charts.tsx'
import { Concerns } from './concerns.tsx'
import { GatewayTable } from './gateways.tsx'
import { Standing } from './standing.tsx'

const SPANS = ['15m', '1h', '24h', '7d'] as const

/** How the service does: one sentence, the figures behind it, and how they came about. */
export function Overview() {
  const w = words.value
  const asked = SPANS.find((one) => one === route.value.query['span']) ?? '1h'
  const series = useFeed<Series>(`/series?span=${asked}`)
  const state = useFeed<State>('/overview')
  const spans = (
    <div class="segments" role="group" aria-label={w.span}>
      {SPANS.map((one) => (
        <button
          key={one}
          type="button"
          aria-pressed={one === asked}
          onClick={() => filter({ span: one })}
        >
          {w.spans[one]}
        </button>
      ))}
    </div>
  )
  return (
    <ScreenFrame title={w.screens.overview} acts={spans}>
      <LeftOutOf of={state.known.value.data ?? series.known.value.data} />
      <Loaded feed={state}>{(known) => <Concerns state={known} />}</Loaded>
      <Loaded feed={series}>
        {(known) => (
          <>
            <Figures series={known} state={state.known.value.data} />
            {totalsOf(known).accepted === 0 ? <Begin /> : null}
            <Loaded feed={state}>{(standing) => <Standing state={standing} />}</Loaded>
            <Charts series={known} />
            <Section title={w.screens.gateways}>
              <GatewayTable series={known} gateways={state.known.value.data?.gateways ?? []} />
            </Section>
          </>
        )}
      </Loaded>
    </ScreenFrame>
  )
}

/** Where to begin, while there is nothing to see. */
function Begin() {
  const w = words.value
  return (
    <p class="lead">
      {w.nothingAccepted} <a href={hrefOf('payments')}>{w.beginHere}</a>
    </p>
  )
}

function Figures({ series, state }: { series: Series; state: State | null }) {
  const w = words.value
  const totals = totalsOf(series)
  const queue = state?.queue ?? null
  const [half, most] = [newest(series.p50_ms), newest(series.p95_ms)]
  return (
    <div class="figures">
      <FigureBox
        name={w.acceptedPerSecond}
        value={rate(rateOf(series.accepted, series, now.value))}
      >
        {w.inAll(count(totals.accepted))}
      </FigureBox>
      <FigureBox
        name={w.succeededShare}
        value={totals.share === null ? '—' : percent(totals.share)}
      >
        {w.ofEnded(count(totals.succeeded), count(totals.failed), count(totals.unknown))}
      </FigureBox>
      <FigureBox
        name={w.latency}
        value={half === null ? '—' : `${half < FIRST_CLASS_MS ? '≤ ' : ''}${span(withinMs(half))}`}
      >
        {most === null ? w.nothingEnded : w.most(span(withinMs(most)))}
      </FigureBox>
      <FigureBox name={w.waiting} value={queue === null ? '—' : count(queue.due + queue.waiting)}>
        {queue === null ? '' : w.queueSaid(count(queue.due), count(queue.leased))}
      </FigureBox>
    </div>
  )
}

interface FigureProps {
  readonly name: string
  readonly value: string
  readonly children: string
}

function FigureBox({ name, value, children }: FigureProps) {
  return (
    <div>
      <p class="quiet">{name}</p>
      <p class="figure">{value}</p>
      <p class="quiet">{children}</p>
    </div>
  )
}
