import { useFeed } from '../app/feed.ts'
import { may } from '../app/session.ts'
import type { Page, Statement, Transaction, User } from '../app/shapes.ts'
import { hrefOf } from '../exact/route.ts'
import { dailyLevels, levelsOf, newestFirst, type Level } from '../exact/statement.ts'
import { Everywhere, Facts, Money, named, NarrowWhen, Section, When } from '../parts/basics.tsx'
import { Chart } from '../parts/chart.tsx'
import { askPayment } from '../parts/new-payment.ts'
import { saveCsv } from '../parts/save.ts'
import { Loaded, ScreenFrame } from '../parts/screen.tsx'
import { Table } from '../parts/table.tsx'
import { money, monthOf, roughly, words } from '../words/words.ts'

const LIMIT = 500
/** What the file has of each entry. */
const COLUMNS = [
  'created_at',
  'payment_id',
  'kind',
  'balance',
  'held',
  'commission',
  'currency',
] as const
/** So many entries are listed; the file has all that were read. */
const SHOWN_MAX = 100

/** One user: what they have, how that came about, and their statement. */
export function UserScreen({ id }: { id: string }) {
  const w = words.value
  const user = useFeed<User>(`/users/${id}`)
  const entries = useFeed<Page<Transaction>>(`/users/${id}/transactions?limit=${LIMIT}`)
  return (
    <ScreenFrame
      title={`${w.user} ${id}`}
      acts={
        <>
          <a class="button" href={hrefOf('payments', null, { user_id: id })}>
            {w.screens.payments}
          </a>
          {may('write') ? (
            <button type="button" onClick={() => askPayment(id)}>
              {w.newPayment}
            </button>
          ) : null}
        </>
      }
    >
      <Loaded feed={user} missing={<Everywhere typed={id} />}>
        {(known) => (
          <>
            <Balance user={known} />
            <Loaded feed={entries}>{(page) => <History user={known} page={page} />}</Loaded>
          </>
        )}
      </Loaded>
    </ScreenFrame>
  )
}

function Balance({ user }: { user: User }) {
  const w = words.value
  const texts = Object.entries(user.metadata ?? {}).map(
    ([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)] as const,
  )
  return (
    <div class="balance">
      <div>
        <p class="quiet">{w.accounts.available}</p>
        <p class="figure">
          <Money amount={user.balance} currency={user.currency} />
        </p>
      </div>
      <div>
        <p class="quiet">{w.accounts.held}</p>
        <p class="figure">
          <Money amount={user.held} currency={user.currency} />
        </p>
      </div>
      <Facts
        facts={[
          [w.externalId, user.external_id ?? '—'],
          [w.opened, <When at={user.created_at} />],
          ...texts,
        ]}
      />
    </div>
  )
}

function History({ user, page }: { user: User; page: Page<Transaction> }) {
  const w = words.value
  const { currency } = user
  const isWhole = page.next_cursor === null
  const shown = newestFirst(page.data).slice(0, SHOWN_MAX)
  const file = isWhole ? `user-${user.id}` : `user-${user.id}-newest`
  return (
    <>
      {isWhole ? (
        <Levels currency={currency} levels={levelsOf(currency, page.data)} />
      ) : (
        <Days user={user} />
      )}
      <Section
        title={w.statement}
        aside={
          <button
            type="button"
            onClick={() =>
              saveCsv(
                file,
                COLUMNS,
                newestFirst(page.data).map((one) => ({ ...one, currency })),
              )
            }
          >
            {w.csv}
          </button>
        }
      >
        <Months user={user} />
      </Section>
      <Section title={w.entries}>
        <EntryList entries={shown} currency={currency} />
        {isWhole && page.data.length <= SHOWN_MAX ? null : (
          <p class="quiet note">{w.newestShown(SHOWN_MAX)}</p>
        )}
      </Section>
    </>
  )
}

/** The balance at the end of each day: of a user with more entries than are read one by one. */
function Days({ user: { id, currency } }: { user: User }) {
  const feed = useFeed<Statement>(`/users/${id}/statement?by=day`)
  return (
    <Loaded feed={feed}>
      {(known) => <Levels currency={currency} levels={dailyLevels(currency, known, Date.now())} />}
    </Loaded>
  )
}

function Levels({ currency, levels }: { currency: string; levels: readonly Level[] }) {
  const w = words.value
  if (levels.length < 2) return null
  return (
    <Section title={w.balanceOverTime}>
      <Chart
        label={w.balanceOverTime}
        kind="steps"
        points={levels.map(({ at, level }) => ({ at, value: level }))}
        say={(_, at) => `${money(levels[at]?.balance ?? 0, currency)} ${currency}`}
        tick={(value) => roughly(value, currency)}
      />
    </Section>
  )
}

function Months({ user }: { user: User }) {
  const w = words.value
  const { currency } = user
  const feed = useFeed<Statement>(`/users/${user.id}/statement?by=month`)
  const columns = [
    [w.before, 'wide number'],
    [w.in, 'number'],
    [w.out, 'number'],
    [w.commission, 'wide number'],
    [w.after, 'number'],
  ] as const
  return (
    <Loaded feed={feed}>
      {({ periods, complete }) => (
        <>
          {complete ? null : <p class="quiet note">{w.statementCut}</p>}
          <Table label={w.statement} columns={[[w.month], ...columns]}>
            {periods.map((one) => {
              const amounts = [one.opening, one.credited, one.debited, one.commission, one.closing]
              return (
                <tr key={one.from}>
                  <th scope="row">{monthOf(Date.parse(one.from))}</th>
                  {amounts.map((amount, at) => (
                    <td key={at} class={columns[at]?.[1]}>
                      <Money amount={amount} currency={currency} />
                    </td>
                  ))}
                </tr>
              )
            })}
          </Table>
        </>
      )}
    </Loaded>
  )
}

function EntryList({ entries, currency }: { entries: readonly Transaction[]; currency: string }) {
  const w = words.value
  return (
    <Table
      label={w.entries}
      columns={[
        [w.what],
        [w.payment],
        [w.accounts.available, 'number'],
        [w.accounts.held, 'wide number'],
        [w.when, 'wide number'],
      ]}
    >
      {entries.map((entry) => (
        <tr key={`${entry.payment_id} ${entry.kind}`}>
          <td>
            {named(w.happened, entry.kind)}
            <NarrowWhen at={entry.created_at} />
          </td>
          <td>
            {entry.payment_id === null ? (
              '—'
            ) : (
              <a href={hrefOf('payments', entry.payment_id)}>{entry.payment_id}</a>
            )}
          </td>
          <td class="number">
            <Money amount={entry.balance} currency={currency} signed />
          </td>
          <td class="wide number">
            <Money amount={entry.held} currency={currency} signed />
          </td>
          <td class="wide number quiet">
            <When at={entry.created_at} />
          </td>
        </tr>
      ))}
    </Table>
  )
}
