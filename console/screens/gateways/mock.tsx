import { signal } from '@preact/signals'
import { send } from '../../app/api.ts'
import { useFeed } from '../../app/feed.ts'
import { may } from '../../app/session.ts'
import type { Page, Payment } from '../../app/shapes.ts'
import type { Exact } from '../../exact/json.ts'
import { hrefOf } from '../../exact/route.ts'
import { Money, named, Section, State, When } from '../../parts/basics.tsx'
import { perform } from '../../parts/dialog.tsx'
import { askPayment } from '../../parts/new-payment.ts'
import { Loaded } from '../../parts/screen.tsx'
import { Table } from '../../parts/table.tsx'
import { count, percent, span, words } from '../../words/words.ts'

type Faults = Readonly<Record<string, Exact>>

/** Chances, by what the gateway has done when it misbehaves. */
const NOT_CHARGED = [
  'error_before',
  'timeout_before',
  'reset_before',
  'rate_limited',
  'decline',
  'rejected',
  'wrong_credential',
] as const
const CHARGED = [
  'error_after',
  'timeout_after',
  'reset_after',
  'late_execute',
  'pending',
  'asks_payer',
  'truncated',
  'wrong_body',
  'wrong_amount',
  'slow_drip',
] as const
const LOOKUPS = ['lookup_errors'] as const
/** Times in milliseconds, and the longest that the slider offers. */
const TIMES = { latency_ms: 3_000, timeout_ms: 10_000, late_ms: 10_000 } as const

/** What the viewer is moving, before the API has said that it is so. */
const moving = signal<Faults>({})

/** Dials are turned one after the other, so that the last turn is what stays. */
let turned = Promise.resolve()

/** The mock gateway: its faults as sliders, beside what the service makes of them. */
export function Mock() {
  const w = words.value
  const feed = useFeed<Faults>('/mock-gateway/faults')
  const reset = () => perform(w.resetFaults, send('DELETE', '/mock-gateway/faults'))
  return (
    <Section
      title={w.mock}
      aside={
        may('operate') ? (
          <button type="button" onClick={() => void reset()}>
            {w.resetFaults}
          </button>
        ) : null
      }
    >
      <p class="lead">{w.mockLead}</p>
      <div class="mock">
        <Loaded feed={feed}>{(faults) => <Dials faults={{ ...faults, ...moving.value }} />}</Loaded>
        <div>
          <Watch />
          <Audit />
        </div>
      </div>
      <Journal />
    </Section>
  )
}

function Dials({ faults }: { faults: Faults }) {
  const w = words.value
  const groups = [
    [w.notCharged, NOT_CHARGED],
    [w.charged, CHARGED],
    [w.lookups, LOOKUPS],
  ] as const
  return (
    <div class="dials">
      {groups.map(([title, names]) => (
        <fieldset key={title} disabled={!may('operate')}>
          <legend>{title}</legend>
          {names.map((name) => (
            <Dial
              key={name}
              name={name}
              label={w.faults[name]}
              value={Number(faults[name] ?? 0)}
              max={1}
            />
          ))}
        </fieldset>
      ))}
      <fieldset disabled={!may('operate')}>
        <legend>{w.times}</legend>
        {Object.entries(TIMES).map(([name, max]) => (
          <Dial
            key={name}
            name={name}
            label={named(w.faults, name)}
            value={Number(faults[name] ?? 0)}
            max={max}
          />
        ))}
      </fieldset>
    </div>
  )
}

interface DialProps {
  readonly name: string
  readonly label: string
  readonly value: number
  /** 1: a chance; more: milliseconds. */
  readonly max: number
}

function Dial({ name, label, value, max }: DialProps) {
  const shown = max === 1 ? percent(value) : span(value)
  function turn(to: number): void {
    turned = turned.then(async () => {
      // It has been moved on: the turn to there follows.
      if (moving.value[name] !== to) return
      await perform(label, send('PUT', '/mock-gateway/faults', { [name]: to }))
      const { [name]: at, ...others } = moving.value
      if (at === to) moving.value = others
    })
  }
  return (
    <label class={value > 0 && max === 1 ? 'dial on' : 'dial'}>
      <span>{label}</span>
      <span>{shown}</span>
      <input
        type="range"
        min={0}
        max={max}
        step={max / 20}
        value={value}
        aria-valuetext={shown}
        onInput={({ currentTarget }) => {
          moving.value = { ...moving.value, [name]: Number(currentTarget.value) }
        }}
        onChange={({ currentTarget }) => turn(Number(currentTarget.value))}
      />
    </label>
  )
}

/** The newest payments, so that a fault and what comes of it are seen together. */
function Watch() {
  const w = words.value
  const feed = useFeed<Page<Payment>>('/payments?limit=8')
  return (
    <section>
      <header class="section-head">
        <h3>{w.newestPayments}</h3>
        {may('write') ? (
          <button
            type="button"
            class="primary"
            onClick={() => askPayment(lastUser(feed.known.value.data))}
          >
            {w.newPayment}
          </button>
        ) : null}
      </header>
      <Loaded feed={feed}>
        {({ data }) => (
          <ul class="relatives newest">
            {data.map((payment) => (
              <li key={payment.payment_id}>
                <a href={hrefOf('payments', payment.payment_id)}>{payment.payment_id}</a>
                <State state={payment.status} />
                <Money amount={payment.amount} currency={payment.currency} />
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </section>
  )
}

function lastUser(page: Page<Payment> | null): string {
  return String(page?.data[0]?.user_id ?? 1)
}

interface AuditBody {
  readonly charges: number
  readonly executed: number
  readonly duplicates_refused: number
  readonly charged_twice_count: number
}

/** What the gateway itself says: was anything charged twice? */
function Audit() {
  const w = words.value
  const feed = useFeed<AuditBody>('/mock-gateway/audit')
  return (
    <section>
      <h3>{w.audit}</h3>
      <Loaded feed={feed}>
        {(audit) => (
          <>
            <p>
              <State
                state={audit.charged_twice_count === 0 ? 'success' : 'failed'}
                tone={audit.charged_twice_count === 0 ? 'good' : 'bad'}
                text={w.chargedTwice(audit.charged_twice_count)}
              />
            </p>
            <p class="quiet">
              {w.auditCounts(count(audit.executed), count(audit.duplicates_refused))}
            </p>
          </>
        )}
      </Loaded>
    </section>
  )
}

interface MockRequest {
  readonly at: string
  readonly payment_id: number
  readonly amount: Exact
  readonly act: string
  readonly fault: string | null
}

function Journal() {
  const w = words.value
  const feed = useFeed<{ data: readonly MockRequest[] }>('/mock-gateway/journal?limit=20')
  return (
    <section>
      <h3>{w.mockJournal}</h3>
      <Loaded feed={feed}>
        {({ data }) =>
          data.length === 0 ? (
            <p class="quiet">{w.noMockJournal}</p>
          ) : (
            <Table label={w.mockJournal} columns={[[w.when], [w.payment], [w.what], [w.fault]]}>
              {data.map((one, at) => (
                <tr key={at}>
                  <td class="quiet">
                    <When at={one.at} form="exact" />
                  </td>
                  <td>
                    <a href={hrefOf('payments', one.payment_id)}>{one.payment_id}</a>
                  </td>
                  <td>{named(w.mockActs, one.act)}</td>
                  <td>{one.fault === null ? null : named(w.faults, one.fault)}</td>
                </tr>
              ))}
            </Table>
          )
        }
      </Loaded>
    </section>
  )
}
