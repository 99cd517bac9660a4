import type { TimelineEvent } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { toneOf } from '../../exact/life.ts'
import { Money, named, NarrowWhen, Scroll, Section, Sign, When } from '../../parts/basics.tsx'
import { span, words } from '../../words/words.ts'

/** Everything that happened, in order, each call with what came back. */
export function Evidence(props: { events: readonly TimelineEvent[]; currency: string }) {
  const w = words.value
  return (
    <Section title={w.story} aside={<span class="quiet">{w.events_(props.events.length)}</span>}>
      <Scroll label={w.story}>
        <table class="story">
          <thead class="unseen">
            <tr>
              <th scope="col" class="wide">
                {w.when}
              </th>
              <th scope="col">{w.what}</th>
              <th scope="col">{w.result}</th>
            </tr>
          </thead>
          <tbody>
            {props.events.map((event, at) => (
              <tr key={at}>
                <td class="wide quiet">
                  <When at={event.at} form="exact" />
                </td>
                <th scope="row">
                  <Sign tone={toneOf(event)} />
                  {named(w.happened, event.event)}
                  <NarrowWhen at={event.at} form="exact" />
                </th>
                <td>
                  <Told event={event} currency={props.currency} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  )
}

function Told({ event, currency }: { event: TimelineEvent; currency: string }) {
  if (event.outcome !== undefined && event.fence !== undefined) return <Call event={event} />
  if (event.balance !== undefined) return <Entry event={event} currency={currency} />
  if (event.amount !== undefined) return <Accepted event={event} currency={currency} />
  return <Person event={event} />
}

function Call({ event }: { event: TimelineEvent }) {
  const w = words.value
  const { outcome = '', reason = null, http_status: status, took_ms: took = 0 } = event
  return (
    <>
      <b>{named(w.outcomes, outcome)}</b>
      {reason === null || `payment_${outcome}`.endsWith(reason)
        ? null
        : `, ${named(w.reasons, reason)}`}
      <span class="quiet">
        {status === null || status === undefined || reason === `http_${status}`
          ? null
          : ` · HTTP ${status}`}
        {` · ${span(took)}`}
        {event.sent === false ? ` · ${w.notSent}` : null}
        {event.gateway === undefined || event.gateway === null ? null : ` · ${event.gateway}`}
        {` · ${w.claim(event.fence ?? 0)}`}
      </span>
      {event.late === true ? (
        <p class="note">
          {w.late} {event.effect}
        </p>
      ) : null}
    </>
  )
}

function Entry({ event, currency }: { event: TimelineEvent; currency: string }) {
  const w = words.value
  const { balance = 0, held = 0, commission = 0 } = event
  const parts = [
    [w.accounts.available, balance],
    [w.accounts.held, held],
    [w.accounts.fees, commission],
  ] as const
  return (
    <>
      {parts
        .filter(([, amount]) => /[1-9]/.test(String(amount)))
        .map(([name, amount]) => (
          <span key={name} class="leg">
            <span class="quiet">{name}</span> <Money amount={amount} currency={currency} signed />
          </span>
        ))}
    </>
  )
}

function Accepted({ event, currency }: { event: TimelineEvent; currency: string }) {
  const w = words.value
  return (
    <>
      <Money amount={event.amount ?? 0} currency={currency} />
      {event.commission === undefined ? null : (
        <span class="quiet">
          {` · ${w.commission} `}
          <Money amount={event.commission} currency={currency} />
        </span>
      )}
      {event.repeats === null || event.repeats === undefined ? null : (
        <>
          {' · '}
          <a href={hrefOf('payments', event.repeats)}>{w.repeats(event.repeats)}</a>
        </>
      )}
    </>
  )
}

function Person({ event }: { event: TimelineEvent }) {
  const w = words.value
  const { error, actor, reason, letter_id: letter } = event
  const holder = event.after?.reference_taken_by
  return (
    <>
      {error === undefined ? null : <b>{named(w.reasons, error)}</b>}
      {actor === null || actor === undefined ? null : <b>{actor}</b>}
      {reason === null || reason === undefined ? null : `: ${reason}`}
      {letter === null || letter === undefined ? null : (
        <span class="quiet">{` · ${w.letter} ${letter}`}</span>
      )}
      {holder === undefined ? null : (
        <>
          {' · '}
          <a href={hrefOf('payments', holder)}>{w.referenceTaken(holder)}</a>
        </>
      )}
    </>
  )
}
