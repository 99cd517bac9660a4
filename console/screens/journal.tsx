import { useFeed } from '../app/feed.ts'
import { route } from '../app/router.ts'
import type { JournalEntry, Page } from '../app/shapes.ts'
import { hrefOf } from '../exact/route.ts'
import { Money, named, NarrowWhen, Section, When } from '../parts/basics.tsx'
import { Loaded } from '../parts/screen.tsx'
import { Pages, Table } from '../parts/table.tsx'
import { words } from '../words/words.ts'

const LIMIT = '50'

/** What payments moved between the accounts, newest payments first. */
export function Journal() {
  const w = words.value
  const { cursor } = route.value.query
  const asked = new URLSearchParams({ limit: LIMIT, ...(cursor === undefined ? {} : { cursor }) })
  const feed = useFeed<Page<JournalEntry>>(`/ledger/entries?${asked}`)
  return (
    <Section title={w.journal}>
      <Loaded feed={feed}>
        {({ data, next_cursor: next }) => (
          <>
            {data.length === 0 ? (
              <p class="quiet">{w.noJournal}</p>
            ) : (
              <Table
                label={w.journal}
                columns={[[w.payment], [w.what], [w.moved], [w.when, 'wide number']]}
              >
                {data.map((entry) => (
                  <Entry key={`${entry.payment_id} ${entry.kind}`} of={entry} />
                ))}
              </Table>
            )}
            <Pages cursor={cursor} next={next} />
          </>
        )}
      </Loaded>
    </Section>
  )
}

function Entry({ of: { payment_id: id, kind, currency, accounts, created_at: at } }: EntryProps) {
  const w = words.value
  const moved = ACCOUNTS.filter((account) => /[1-9]/.test(String(accounts[account])))
  return (
    <tr>
      <td>
        <a href={hrefOf('payments', id)}>{id}</a>
      </td>
      <td>
        {named(w.happened, kind)}
        <NarrowWhen at={at} />
      </td>
      <td class="wrap">
        {moved.map((account) => (
          <span key={account} class="leg">
            <span class="quiet">{w.ledgerAccounts[account]}</span>{' '}
            <Money amount={accounts[account]} currency={currency} signed />
          </span>
        ))}
      </td>
      <td class="wide number quiet">
        <When at={at} />
      </td>
    </tr>
  )
}

interface EntryProps {
  readonly of: JournalEntry
}

const ACCOUNTS = ['user', 'user_held', 'gateway', 'fees', 'opening', 'losses'] as const
