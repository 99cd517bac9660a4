import { now, useFeed } from '../../app/feed.ts'
import { filter, route } from '../../app/router.ts'
import type { DeadLetter, Health, Series } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { newest, rateOf, totalsOf } from '../../exact/series.ts'
import { Section, Sign, type Tone } from '../../parts/basics.tsx'
import { Loaded, ScreenFrame } from '../../parts/screen.tsx'
import { count, percent, rate, span, words } from '../../words/words.ts'
import { Charts } from './charts.tsx'
import { Concerns } from './concerns.tsx'
import { GatewayTable } from './gateways.tsx'

const SPANS = ['15m', '1h', '24h', '7d'] as const

/** How the service does: one sentence, the figures behind it, and how they came about. */
export function Overview() {
  const w = words.value
  const asked = SPANS.find((one) => one === route.value.query['span']) ?? '1h'
  const series = useFeed<Series>(`/series?span=${asked}`)
  const health = useFeed<Health>('/health')
  const letters = useFeed<readonly DeadLetter[]>('/dlq?state=open&limit=500')
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
      <Concerns health={health.known.value.data} letters={letters.known.value.data} />
      <Loaded feed={series}>
        {(known) => (
          <>
            <Figures series={known} open={letters.known.value.data?.length ?? null} />
            <Charts series={known} />
            <Section title={w.screens.gateways}>
              <GatewayTable series={known} health={health.known.value.data} />
            </Section>
          </>
        )}
      </Loaded>
    </ScreenFrame>
  )
}

function Figures({ series, open }: { series: Series; open: number | null }) {
  const w = words.value
  const totals = totalsOf(series)
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
      <FigureBox name={w.latency} value={half === null ? '—' : span(half)}>
        {most === null ? w.nothingEnded : w.most(span(most))}
      </FigureBox>
      <FigureBox
        name={w.openLetters}
        value={open === null ? '—' : open >= 500 ? '500+' : count(open)}
        tone={open === null ? undefined : open === 0 ? 'good' : 'bad'}
        href={hrefOf('dead-letters')}
      >
        {open === 0 ? w.noLetters : w.waitForYou}
      </FigureBox>
    </div>
  )
}

interface FigureProps {
  readonly name: string
  readonly value: string
  readonly tone?: Tone | undefined
  readonly href?: string
  readonly children: string
}

function FigureBox({ name, value, tone, href, children }: FigureProps) {
  return (
    <div>
      <p class="quiet">{href === undefined ? name : <a href={href}>{name}</a>}</p>
      <p class="figure">
        {tone === undefined ? null : <Sign tone={tone} />}
        {value}
      </p>
      <p class="quiet">{children}</p>
    </div>
  )
}
