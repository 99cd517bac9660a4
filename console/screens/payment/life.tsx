import { lifeOf, type Lane, type Mark, type Wait } from '../../exact/life.ts'
import type { Payment, PaymentEvent, Timeline } from '../../app/shapes.ts'
import { named, Scroll, When } from '../../parts/basics.tsx'
import { span, words } from '../../words/words.ts'

const LANES: readonly Lane[] = ['gateway', 'books', 'people', 'notices']
/** Shares of the width, where it is narrow, that a letter and a sign take. */
const LETTER_ROOM = 0.013
const SIGN_ROOM = 0.035
const WAIT_ROOM = 0.07
/** A last mark behind this share has its name on its left. */
const TURN = 0.75

/** The life of a payment as a picture; the table below says the same in words. */
export function Life(props: {
  payment: Payment
  timeline: Timeline
  events: readonly PaymentEvent[]
}) {
  const w = words.value
  const { payment, timeline, events } = props
  const nextAt = payment.next_attempt_at === null ? null : Date.parse(payment.next_attempt_at)
  const life = lifeOf(timeline.events, events, { status: payment.status, nextAt })
  const lanes = LANES.map(
    (lane) => [lane, life.marks.filter((mark) => mark.lane === lane)] as const,
  )
  const filled = lanes.filter(([lane, marks]) => marks.length > 0 || lane === 'gateway')
  return (
    <section class="life-frame">
      <h2>{w.life}</h2>
      <Scroll label={w.life}>
        <div
          class="life"
          role="img"
          aria-label={w.lifeTold(life.marks.length, span(life.end - life.begin))}
        >
          <div class="lane ribbon-lane">
            <span class="lane-name">{w.known}</span>
            <div class="track">
              {life.ribbon.map((stretch) => (
                <span
                  key={stretch.from}
                  class={`stretch ${stretch.tone}`}
                  style={{ left: `${stretch.from * 100}%`, right: `${(1 - stretch.to) * 100}%` }}
                />
              ))}
            </div>
          </div>
          {filled.map(([lane, marks]) => (
            <div key={lane} class={`lane ${lane}`}>
              <span class="lane-name">{w.lanes[lane]}</span>
              <div class="track">
                {lane === 'gateway'
                  ? life.waits.map((wait) => <Pause key={wait.from} wait={wait} />)
                  : null}
                {marks.map((mark, at) => (
                  <Blip key={at} mark={mark} room={roomOf(marks, at)} />
                ))}
              </div>
            </div>
          ))}
          <div class="lane axis">
            <span class="lane-name" />
            <div class="track">
              <When at={new Date(life.begin).toISOString()} form="exact" />
              <When at={new Date(life.end).toISOString()} form="exact" />
            </div>
          </div>
        </div>
      </Scroll>
      <p class="quiet note">{w.lifeNote}</p>
    </section>
  )
}

function Pause({ wait }: { wait: Wait }) {
  const { from, to, ms, open } = wait
  const place = { left: `${from * 100}%`, right: `${(1 - to) * 100}%` }
  return (
    <span class={open ? 'pause open' : 'pause'} style={place}>
      {to - from < WAIT_ROOM ? null : <span>{span(ms)}</span>}
    </span>
  )
}

/** On which side of a mark its name has room: none, where it is a call. */
function roomOf(marks: readonly Mark[], at: number): 'right' | 'left' | 'none' {
  const mark = marks[at]
  if (mark === undefined || mark.call !== null) return 'none'
  const next = marks[at + 1]
  const width = widthOf(mark)
  if (next === undefined) {
    const before = marks[at - 1]?.to ?? -1
    if (mark.from < TURN) return 'right'
    return mark.from - before > width ? 'left' : 'none'
  }
  const turned = at + 2 === marks.length && next.from >= TURN
  const left = next.from - mark.to - (turned ? widthOf(next) : 0)
  return left > width ? 'right' : 'none'
}

function widthOf(mark: Mark): number {
  return nameOf(mark).length * LETTER_ROOM + SIGN_ROOM
}

function nameOf({ lane, name }: Mark): string {
  return lane === 'notices' ? name : named(words.value.happened, name)
}

function Blip({ mark, room }: { mark: Mark; room: 'right' | 'left' | 'none' }) {
  const w = words.value
  const { event, name, from, to, tone, call } = mark
  const said = nameOf(mark)
  const result = event?.outcome === undefined ? '' : `: ${named(w.outcomes, event.outcome)}`
  const took = event?.took_ms === undefined ? '' : `, ${span(event.took_ms)}`
  const place = { left: `${from * 100}%`, width: call === null ? '' : `${(to - from) * 100}%` }
  const shape = call === null ? 'moment' : `call ${name}`
  return (
    <span class={`blip ${shape} ${tone}`} style={place} title={`${said}${result}${took}`}>
      {call}
      {room === 'none' ? null : <span class={`blip-name ${room}`}>{said}</span>}
    </span>
  )
}
