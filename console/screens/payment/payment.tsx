import { useEffect } from 'preact/hooks'
import { currency as books } from '../../app/session.ts'
import { useFeed } from '../../app/feed.ts'
import { route } from '../../app/router.ts'
import type { Payment, PaymentEvent, Timeline } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { statusBeside } from '../../exact/status.ts'
import { Everywhere, Facts, Money, named, State, When } from '../../parts/basics.tsx'
import { Loaded, ScreenFrame } from '../../parts/screen.tsx'
import { language, words } from '../../words/words.ts'
import { Acts } from './acts.tsx'
import { PaymentDeliveries } from './deliveries.tsx'
import { Entries } from './entries.tsx'
import { Evidence } from './evidence.tsx'
import { Life } from './life.tsx'
import { Relatives } from './relatives.tsx'

/** One payment: why it is as it is, how it came to that, and what can be done. */
export function PaymentScreen({ id }: { id: string }) {
  const w = words.value
  const { typed } = route.value.query
  const payment = useFeed<Payment>(`/payments/${id}`)
  const timeline = useFeed<Timeline>(`/payments/${id}/timeline`)
  const events = useFeed<{ data: readonly PaymentEvent[] }>(`/payments/${id}/events`)
  const [read, said] = [payment.known.value.data?.status, timeline.known.value.data?.status]
  const differs = read !== undefined && said !== undefined && statusBeside(said, read) !== read
  useEffect(() => {
    // Each is asked in its own time: what is behind is asked for again at once.
    if (differs) void Promise.all([payment, timeline, events].map((feed) => feed.refresh()))
  }, [differs])
  return (
    <ScreenFrame
      title={`${w.payment} ${id}`}
      lead={typed === undefined ? undefined : <Everywhere typed={typed} />}
    >
      <Loaded feed={payment} missing={typed === undefined ? <Everywhere typed={id} /> : undefined}>
        {(known) => (
          <Loaded feed={timeline}>
            {(told) => (
              <Known
                payment={{ ...known, status: statusBeside(told.status, known.status) }}
                timeline={told}
                events={events.known.value.data?.data ?? []}
              />
            )}
          </Loaded>
        )}
      </Loaded>
    </ScreenFrame>
  )
}

interface KnownProps {
  readonly payment: Payment
  readonly timeline: Timeline
  readonly events: readonly PaymentEvent[]
}

function Known({ payment, timeline, events }: KnownProps) {
  const w = words.value
  const { currency } = payment
  return (
    <>
      <div class="verdict">
        <p class="figure">
          <Money amount={payment.amount} currency={currency} />
          <State state={payment.status} />
        </p>
        <p class="sentence" lang={language.value === 'en' ? undefined : 'en'}>
          <Sentence text={timeline.explanation} />
        </p>
        <Acts payment={payment} timeline={timeline} />
      </div>
      <Life payment={payment} timeline={timeline} events={events} />
      <div class="columns">
        <div>
          <Evidence events={timeline.events} currency={currency} />
          <Entries events={timeline.events} currency={currency} />
        </div>
        <aside>
          <About payment={payment} />
          <Relatives payment={payment} />
          <section>
            <h2>{w.events}</h2>
            {events.length === 0 ? <p class="quiet">{w.noEvents}</p> : <Events events={events} />}
          </section>
          <PaymentDeliveries id={String(payment.payment_id)} />
        </aside>
      </div>
    </>
  )
}

/** A sentence of the API; the times in it are in the viewer's zone. */
function Sentence({ text }: { text: string }) {
  const parts = text.split(/(\d{4}-\d\d-\d\dT[\d:.]+Z)/)
  return <>{parts.map((part, at) => (at % 2 === 1 ? <When key={at} at={part} /> : part))}</>
}

function About({ payment }: { payment: Payment }) {
  const w = words.value
  const { currency, metadata, action } = payment
  const facts = [
    [w.type, w.types[payment.type]],
    [w.user, <a href={hrefOf('users', payment.user_id)}>{payment.user_id}</a>],
    [w.commission, <Money amount={payment.commission} currency={currency} />],
    [w.accepted, <When at={payment.created_at} />],
    [w.finished, payment.finished_at === null ? '—' : <When at={payment.finished_at} />],
    [w.attempts, payment.attempts],
    [
      w.error,
      payment.last_error === null || payment.status === 'pending'
        ? null
        : named(w.reasons, payment.last_error),
    ],
    [w.gatewayRef, payment.gateway_ref === null ? null : <code>{payment.gateway_ref}</code>],
    [w.payerOpens, action === null ? null : <Outside url={action.url} />],
    [w.payerUntil, action?.expires_at ? <When at={action.expires_at} /> : null],
    [w.reference, payment.reference],
    [w.description, payment.description],
    [w.method, payment.payment_method],
    ...Object.entries(metadata ?? {}).map(
      ([name, value]) =>
        [<code>{name}</code>, typeof value === 'string' ? value : JSON.stringify(value)] as const,
    ),
  ] as const
  const known = facts.filter(([, value]) => value !== null && value !== '')
  return (
    <section>
      <h2>{w.details}</h2>
      <Facts facts={known.map(([name, value]) => [name as string, value])} />
      {books.value === null || books.value === currency ? null : (
        <p class="quiet">{w.foreign(currency)}</p>
      )}
    </section>
  )
}

/** A page of somebody else, opened beside this one. */
function Outside({ url }: { url: string }) {
  if (!/^https?:/.test(url)) return <code>{url}</code>
  return (
    <a href={url} target="_blank" rel="noreferrer">
      {url}
    </a>
  )
}

function Events({ events }: { events: readonly PaymentEvent[] }) {
  return (
    <ol class="events">
      {events.map((event) => (
        <li key={event.id}>
          <code>{event.type}</code>
          <span class="quiet">
            <When at={event.timestamp} />
          </span>
        </li>
      ))}
    </ol>
  )
}
