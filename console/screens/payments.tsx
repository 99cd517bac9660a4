import { useRef } from 'preact/hooks'
import { useFeed } from '../app/feed.ts'
import { filter, go, route } from '../app/router.ts'
import { may, session } from '../app/session.ts'
import type { Page, Payment } from '../app/shapes.ts'
import { hrefOf } from '../exact/route.ts'
import { Empty, Everywhere, Money, named, NarrowWhen, State, When } from '../parts/basics.tsx'
import { Command } from '../parts/command.tsx'
import { askPayment, tryItOut } from '../parts/new-payment.ts'
import { saveCsv } from '../parts/save.ts'
import { LeftOut, Loaded, ScreenFrame } from '../parts/screen.tsx'
import { Pages, Table } from '../parts/table.tsx'
import { words } from '../words/words.ts'

const STATES = ['', 'processing', 'pending', 'success', 'failed', 'unknown'] as const
const TYPES = ['', 'deposit', 'withdraw', 'refund', 'return'] as const
/** Filters that a search sets, shown as what can be taken away. */
const FOUND_BY = ['user_id', 'parent_id', 'reference', 'gateway_ref', 'idempotency_key'] as const
const LIMIT = 50
/** What a file of payments has of each. */
const COLUMNS = [
  'id',
  'type',
  'status',
  'amount',
  'commission',
  'currency',
  'user_id',
  'reference',
  'gateway_ref',
  'attempts',
  'last_error',
  'created_at',
  'finished_at',
] as const

/** Payments, newest first. */
export function Payments() {
  const w = words.value
  const { query } = route.value
  const { typed, ...filters } = query
  const asked = new URLSearchParams({ ...filters, limit: String(LIMIT) })
  const feed = useFeed<Page<Payment>>(`/payments?${asked}`)
  const rows = feed.known.value.data?.data ?? []
  return (
    <ScreenFrame
      title={w.screens.payments}
      lead={typed === undefined ? undefined : <Everywhere typed={typed} />}
      acts={
        <>
          {may('write') && session.value?.service.mock_gateway === true ? (
            <button type="button" onClick={() => askPayment(String(rows[0]?.user_id ?? 1))}>
              {w.newPayment}
            </button>
          ) : null}
          <button
            type="button"
            disabled={rows.length === 0}
            onClick={() =>
              saveCsv(
                'payments',
                COLUMNS,
                rows.map((one) => ({ ...one, id: one.payment_id })),
              )
            }
          >
            {w.csv}
          </button>
        </>
      }
    >
      <Filters />
      <LeftOut feed={feed} />
      <Loaded feed={feed}>
        {(page) => (page.data.length === 0 ? <Nothing /> : <List page={page} />)}
      </Loaded>
    </ScreenFrame>
  )
}

function Filters() {
  const w = words.value
  const { query } = route.value
  const status = query['status'] ?? ''
  const found = FOUND_BY.filter((name) => query[name] !== undefined)
  return (
    <div class="filters">
      <div class="segments" role="group" aria-label={w.state}>
        {STATES.map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={one === status}
            onClick={() => filter({ status: one, cursor: '' })}
          >
            {one === '' ? w.all : w.states[one]}
          </button>
        ))}
      </div>
      <label class="inline">
        <span class="unseen">{w.type}</span>
        <select
          value={query['type'] ?? ''}
          onChange={({ currentTarget }) => filter({ type: currentTarget.value, cursor: '' })}
        >
          {TYPES.map((one) => (
            <option key={one} value={one}>
              {one === '' ? w.allTypes : w.types[one]}
            </option>
          ))}
        </select>
      </label>
      {found.map((name) => (
        <button
          key={name}
          type="button"
          class="chip"
          onClick={() => filter({ [name]: '', cursor: '', typed: '' })}
        >
          {w.filters[name]} <b>{query[name]}</b>
          <span class="unseen">{w.remove}</span>
          <span aria-hidden="true">×</span>
        </button>
      ))}
    </div>
  )
}

function List({ page }: { page: Page<Payment> }) {
  const w = words.value
  const { query } = route.value
  const fresh = useNewest(page.data, query)
  return (
    <>
      <Table
        label={w.screens.payments}
        columns={[
          [w.state],
          [w.payment],
          [w.amount, 'number'],
          [w.user, 'wide'],
          [w.reference, 'wide'],
          [w.error, 'wide'],
          [w.accepted, 'wide number'],
        ]}
      >
        {page.data.map((payment) => (
          <Row key={payment.payment_id} payment={payment} fresh={fresh(payment)} />
        ))}
      </Table>
      <Pages cursor={query['cursor']} next={page.next_cursor} />
    </>
  )
}

/** Tells which payments came since the list was opened: they are marked once. */
function useNewest(
  payments: readonly Payment[],
  query: Readonly<Record<string, string>>,
): (payment: Payment) => boolean {
  const seen = useRef<{ of: string; newest: number }>({ of: '', newest: 0 })
  const of = JSON.stringify(query)
  if (seen.current.of !== of) {
    seen.current = { of, newest: Math.max(0, ...payments.map((one) => one.payment_id)) }
  }
  return ({ payment_id: id }) => id > seen.current.newest
}

function Row({ payment, fresh }: { payment: Payment; fresh: boolean }) {
  const { payment_id: id, user_id: user } = payment
  const w = words.value
  const href = hrefOf('payments', id)
  return (
    <tr class={fresh ? 'fresh' : undefined} onClick={(event) => openRow(event, href)}>
      <td>
        <State state={payment.status} />
      </td>
      <td>
        <a href={href}>
          <span class="quiet">{w.types[payment.type]}</span> {id}
        </a>
        <NarrowWhen at={payment.created_at} />
      </td>
      <td class="number">
        <Money amount={payment.amount} currency={payment.currency} />
      </td>
      <td class="wide">
        <a href={hrefOf('users', user)}>{user}</a>
      </td>
      <td class="wide clip">{payment.reference}</td>
      <td class="wide clip quiet">
        {/* That it is not finished is no error. */}
        {payment.last_error === null || /success|pending/.test(payment.status)
          ? null
          : named(w.reasons, payment.last_error)}
      </td>
      <td class="wide number quiet">
        <When at={payment.created_at} />
      </td>
    </tr>
  )
}

/** The whole row leads where its link does; texts in it can still be marked. */
function openRow(event: MouseEvent, href: string): void {
  const on = event.target instanceof Element && event.target.closest('a, button, input')
  if (on || String(getSelection()) !== '') return
  go(href)
}

function Nothing() {
  const w = words.value
  const { query } = route.value
  if (Object.keys(query).length > 0) {
    return (
      <Empty title={w.nothingFound}>
        <p>{w.nothingFoundLead}</p>
        <p>
          <a href={hrefOf('payments')}>{w.showAll}</a>
        </p>
      </Empty>
    )
  }
  return (
    <Empty title={w.noPayments}>
      <p>{w.noPaymentsLead}</p>
      {may('write') ? (
        <p>
          <button type="button" class="primary" onClick={() => void tryItOut()}>
            {w.tryIt}
          </button>
        </p>
      ) : null}
      <Command text={firstUser(location.origin)} />
      <Command text={firstPayment(location.origin)} />
    </Empty>
  )
}

function firstUser(origin: string): string {
  return `curl -X POST ${origin}/api/v1/users -H 'Content-Type: application/json' -d '{"balance": 1000}'`
}

function firstPayment(origin: string): string {
  return `curl -X POST ${origin}/api/v1/payments/deposit -H 'Content-Type: application/json' -d '{"user_id": 1, "deposit": 200}'`
}
